"""A small patient with a lesion in the tail, on the patient's left, and the results that tests alter."""

from html.parser import HTMLParser
from typing import Any

import numpy as np

from pancascade.imaging.volume import Volume
from pancascade.labels import Label
from pancascade.messages.notices import Notice
from pancascade.results.measurements import AxialDiameters, Lesion, Measurements, Organ, VesselContact, label_sizes
from pancascade.results.result import Location, Result, ScanGrid, Thresholds

SHAPE = (60, 50, 20)
LPS = np.array([[-2.0, 0, 0, 60], [0, -2.0, 0, 50], [0, 0, 5.0, -50], [0, 0, 0, 1]])
"""Index 0 is the patient's right, front and feet."""

WARNING = Notice(
    code="organ_at_edge", about="result", sentence="The pancreas reaches the last slice.", values={"slices": 2}
)
EXPLANATION = Notice(code="thick_slices", about="input", severity="information", sentence="Slices are 5.0 mm apart.")


def patient(*, affine: np.ndarray = LPS) -> tuple[Volume, Volume]:
    """Soft tissue, a pancreas across the middle, and a lesion at its end in the patient's left, front and head."""
    hu = np.full(SHAPE, 40, np.int16)
    labels = np.zeros(SHAPE, np.uint8)
    labels[12:50, 20:28, 8:14] = Label.PANCREAS
    labels[42:48, 16:26, 11:15] = Label.TUMOUR
    hu[labels > 0] = 100
    return Volume(hu, affine), Volume(labels, affine)


def place(*index: float, affine: np.ndarray = LPS) -> tuple[float, float, float]:
    """RAS+ place of a voxel index."""
    first, second, third, _ = (affine @ [*index, 1.0]).tolist()
    return first, second, third


def lesion(number: int = 1, **changes: Any) -> Lesion:
    """That patient's lesion: 12 mm long and 10 mm short in slice 12."""
    found: dict[str, Any] = {
        "number": number,
        "volume_ml": 4.8,
        "diameters": diameters(12.0, 10.0),
        "diameter_3d_mm": 24.0,
        "centroid_mm": place(44.5, 20.5, 12.5),
        "part": "tail",
        "mean_hu": 61.0,
        "parenchyma_hu": 99.0,
        "confidence": 0.87,
        "vessels": (
            VesselContact(vessel="splenic vein", distance_mm=0, contact_degrees=95, contact_length_mm=12),
            VesselContact(vessel="aorta", distance_mm=7.25, contact_degrees=0, contact_length_mm=0),
        ),
    }
    return Lesion(**(found | changes))


def diameters(long_mm: float, short_mm: float) -> AxialDiameters:
    """Of those lengths, drawn where the patient's lesion is."""
    return AxialDiameters(
        long_mm=long_mm,
        short_mm=short_mm,
        long_ends_mm=(place(42, 20.5, 12), place(47, 20.5, 12)),
        short_ends_mm=(place(44.5, 16, 12), place(44.5, 25, 12)),
        slice_index=12,
    )


LINE = tuple(place(index, 24, 11) for index in range(12, 50, 4))


def result(mask: Volume | None = None, *, lesions: tuple[Lesion, ...] | None = None, **changes: Any) -> Result:
    """Result of that patient, with one lesion unless others are given."""
    mask = patient()[1] if mask is None else mask
    sizes = label_sizes(mask)
    volume = sizes["pancreas_with_tumour"]["volume_ml"]
    organ = Organ(volume_ml=volume, parenchyma_ml=volume - 4.8, length_mm=72.0, mean_hu=99.0, centre_line_mm=LINE)
    found: dict[str, Any] = {
        "scan": "some/where/scan.nii.gz",
        "model": "a-model",
        "backend": "torch float32",
        "created": "2026-03-01T10:20:30+00:00",
        "thresholds": Thresholds(organ=0.6, tumour=0.7),
        "measurements": sizes,
        "pancreas_and_lesions": Measurements(
            organ=organ if volume else None, lesions=(lesion(),) if lesions is None else lesions
        ),
        "tumour_score": 0.87,
        "location": Location(confidence=0.93, organ_ml=30, peak=0.99, components=1, main_share=1, candidates=1),
        "grid": ScanGrid(shape=mask.shape, affine=tuple(tuple(row) for row in mask.affine.tolist())),
        "notices": (WARNING, EXPLANATION),
        "warnings": (WARNING.sentence,),
        "times_s": {"read": 0.25, "pancreas": 1.5},
        "versions": {"pancascade": "0.1.0"},
    }
    return Result(**(found | changes))


VOID = {"meta", "img", "br", "input", "hr", "link", "rect", "line"}


class Page(HTMLParser):
    """A page as its tags tell: what is open, what is loaded, what is linked, what is shown."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.faults: list[str] = []
        self.tags: set[str] = set()
        self.loaded: list[str] = []
        self.links: list[str] = []
        self.shown = ""
        self.feed(text)
        self.close()
        self.faults += [f"never closed: {tag}" for tag in self.open]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        for name, value in attrs:
            if name in ("src", "srcset", "data", "poster", "background") or (name == "href" and tag != "a"):
                self.loaded.append(value or "")
            elif name == "href":
                self.links.append(value or "")
            elif name.startswith("on"):
                self.faults.append(f"script in {tag}")
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag in VOID:
            return
        if not self.open or self.open[-1] != tag:
            self.faults.append(f"</{tag}> closes {self.open[-1:]}")
        else:
            self.open.pop()

    def handle_data(self, data: str) -> None:
        if not self.open or self.open[-1] not in ("style", "script"):
            self.shown += data

    def assert_sound(self, text: str) -> None:
        """Tags are closed, and nothing comes from elsewhere."""
        assert self.faults == []
        assert all(address.startswith("data:image/") for address in self.loaded), self.loaded
        assert text.count("url(") == text.count("url(#"), "parts of the page itself alone"
        assert "@import" not in text
        assert "default-src 'none'" in text
