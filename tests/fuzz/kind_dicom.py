"""A CT series as DICOM files: bytes, attributes, and the files of a folder."""

import os
import shutil
import warnings
from pathlib import Path
from random import Random

import numpy as np
import pydicom
from byte_mutations import damaged
from dicom_writing import SERIES_UID, compressed, ct_slices, other_series, save, save_all
from fuzz_kind import Answer, Kind
from kind_nifti import same_mask
from pydicom.dataelem import RawDataElement
from pydicom.tag import Tag
from pydicom.uid import CTImageStorage, EnhancedSRStorage
from tiny_model import SPACING_MM, mask_answer, scan_and_labels, write_weights

FOLDER = "dicom"
KEYWORDS = (
    *("Columns", "Rows", "PixelSpacing", "ImagePositionPatient", "ImageOrientationPatient", "RescaleSlope"),
    *("RescaleIntercept", "SeriesInstanceUID", "StudyInstanceUID", "SOPInstanceUID", "SOPClassUID", "Modality"),
    *("BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation", "SamplesPerPixel", "ImageType", "PatientID"),
    *("SeriesNumber", "InstanceNumber", "SeriesDescription", "SliceThickness", "PhotometricInterpretation"),
    *("PixelData", "RescaleType", "PatientName"),
)
ODD_TEXTS = (
    b"",
    b" ",
    b"0",
    b"1",
    b"-1",
    b"nan",
    b"inf",
    b"1e40",
    b"9" * 400,
    b"a\\b",
    b"1\\1\\1\\1\\1\\1\\1",
    b"\xff\xfe",
    b"0\\0",
)


class DicomSeries(Kind):
    """A series in a folder that `segment` reads."""

    name = "dicom"
    share = 22
    commands = (
        f"segment {FOLDER} --model model/w.safetensors --backend torch --out out",
        f"segment {FOLDER} --model model/w.safetensors --backend torch --out out --format rtstruct --format nifti",
    )

    def build(self, folder: Path) -> None:
        write_series(folder / FOLDER)
        write_weights(folder / "model" / "w.safetensors")

    def mutate(self, folder: Path, random: Random) -> str:
        what = random.choice((_bytes, _bytes, _attribute, _attribute, _attribute, _in_all, _files, _files))
        return f"{what.__name__.strip('_')}: {what(folder / FOLDER, random)}"

    def answer(self, folder: Path, command: str) -> Answer:
        return mask_answer(folder / "out")

    def excused(self, folder: Path, command: str, answer: Answer, good: Path) -> bool:
        """The mask is the one that an independent reading of the files gives."""
        seen = seen_by_pydicom(folder / FOLDER)
        return seen is not None and same_mask(seen, folder, answer)


def write_series(folder: Path) -> None:
    """The phantom as a scanner files it."""
    hu, _, affine = scan_and_labels()
    slices = ct_slices(
        hu.transpose(2, 1, 0),
        spacing_mm=(SPACING_MM[1], SPACING_MM[0]),
        origin_mm=affine[:3, 3] * (-1, -1, 1),
        step_mm=(0, 0, SPACING_MM[2]),
    )
    for number, image in enumerate(slices):
        image.SOPInstanceUID = f"{SERIES_UID}.{number + 1}"  # the same in every run
        image.SliceThickness = SPACING_MM[2]
    save_all(slices, folder)


def seen_by_pydicom(folder: Path) -> tuple[np.ndarray, np.ndarray] | None:
    """Voxels (LPS order) and affine to RAS+, if every file is a slice and all lie on one straight grid."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            images = [pydicom.dcmread(path) for path in sorted(folder.rglob("*")) if path.is_file()]
            images = [
                image for image in images if image.get("Modality") == "CT" and image.SOPClassUID == CTImageStorage
            ]
            images.sort(key=lambda image: float(image.ImagePositionPatient[2]))
            planes = [
                image.pixel_array * float(image.get("RescaleSlope", 1)) + float(image.get("RescaleIntercept", 0))
                for image in images
            ]
            heights = np.array([float(image.ImagePositionPatient[2]) for image in images])
            grids = {(*map(float, i.PixelSpacing), *map(float, i.ImageOrientationPatient)) for i in images}
            sides = {tuple(map(float, image.ImagePositionPatient[:2])) for image in images}
    except Exception:
        return None
    steps = np.diff(heights)
    if len(grids) != 1 or len(sides) != 1 or not len(steps) or np.ptp(steps) > 0.01 or steps[0] <= 0:
        return None
    (row_mm, column_mm, *cosines), (x, y) = next(iter(grids)), next(iter(sides))
    if tuple(cosines) != (1, 0, 0, 0, 1, 0):
        return None
    affine = np.diag((-column_mm, -row_mm, float(steps.mean()), 1.0))
    affine[:3, 3] = (-x, -y, heights[0])
    return np.rint(np.stack(planes).transpose(2, 1, 0)).astype(np.int16), affine


def _some(folder: Path, random: Random) -> Path:
    return random.choice(sorted(folder.iterdir()))


def _bytes(folder: Path, random: Random) -> str:
    path = _some(folder, random)
    content = path.read_bytes()
    what, content = damaged(content, random, end=random.choice((len(content), 1200, 1200)))
    path.write_bytes(content)
    return f"{path.name} {what}"


def _change(path: Path, keyword: str, value: bytes | None) -> None:
    """Any bytes as an attribute's value, as no writer would write them; None takes the attribute away."""
    image = pydicom.dcmread(path)
    tag = Tag(keyword)
    if value is None:
        if tag in image:
            del image[tag]
    else:
        kind = image[tag].VR if tag in image else "LO"
        value += b" " * (len(value) % 2)
        image[tag] = RawDataElement(tag, kind, len(value), value, 0, False, True, True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        image.save_as(path)


def _attribute(folder: Path, random: Random) -> str:
    path, keyword = _some(folder, random), random.choice(KEYWORDS)
    value = None if random.random() < 0.25 else random.choice(ODD_TEXTS)
    _change(path, keyword, value)
    return f"{path.name} {keyword} = {value!r}"[:100]


def _in_all(folder: Path, random: Random) -> str:
    keyword = random.choice(KEYWORDS)
    value = None if random.random() < 0.25 else random.choice(ODD_TEXTS)
    for path in sorted(folder.iterdir()):
        _change(path, keyword, value)
    return f"all {keyword} = {value!r}"[:100]


def _files(folder: Path, random: Random) -> str:
    name = random.choice(list(FILES))
    paths = sorted(folder.iterdir())
    random.shuffle(paths)
    FILES[name](folder, paths)
    return name


def _middle_gone(folder: Path, _: list[Path]) -> None:
    sorted(folder.iterdir())[len(list(folder.iterdir())) // 2].unlink()


def _renamed(_: Path, paths: list[Path]) -> None:
    for number, path in enumerate(paths):
        path.rename(path.with_name(f"{number}"))


def _swapped_positions(_: Path, paths: list[Path]) -> None:
    first, second = (pydicom.dcmread(path) for path in paths[:2])
    first.ImagePositionPatient, second.ImagePositionPatient = second.ImagePositionPatient, first.ImagePositionPatient
    first.save_as(paths[0])
    second.save_as(paths[1])


def _same_position(_: Path, paths: list[Path]) -> None:
    image = pydicom.dcmread(paths[0])
    image.ImagePositionPatient = pydicom.dcmread(paths[1]).ImagePositionPatient
    image.save_as(paths[0])


def _in_folders(folder: Path, paths: list[Path]) -> None:
    for number, path in enumerate(paths):
        place = folder / str(number % 3)
        place.mkdir(exist_ok=True)
        path.rename(place / path.name)


FILES = {
    "middle gone": _middle_gone,
    "only one": lambda _, paths: [path.unlink() for path in paths[1:]],
    "none": lambda _, paths: [path.unlink() for path in paths],
    "renamed": _renamed,
    "in folders": _in_folders,
    "positions swapped": _swapped_positions,
    "two at one place": _same_position,
    "a copy": lambda folder, paths: shutil.copy(paths[0], folder / "again.dcm"),
    "one compressed": lambda _, paths: compressed(paths[0], 2),
    "a note beside": lambda folder, _: (folder / "note.txt").write_text("hello"),
    "a link to itself": lambda folder, _: (folder / "loop").symlink_to(folder),
    "a dead link": lambda folder, _: (folder / "dead.dcm").symlink_to("nowhere"),
    "a pipe": lambda folder, _: os.mkfifo(folder / "pipe.dcm"),
    "an empty file": lambda folder, _: (folder / "empty.dcm").write_bytes(b""),
    "a report beside": lambda folder, _: save(
        other_series(EnhancedSRStorage, "1.2.3.4", Modality="SR"), folder / "report.dcm"
    ),
}
