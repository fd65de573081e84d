"""A synthetic abdomen drawn in patient coordinates, and a cascade that knows it by its Hounsfield units.

Every threshold lies halfway between two neighbouring tissues, so the true mask is known on every grid.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from types import SimpleNamespace

import nibabel as nib
import numpy as np
import torch
from PIL import Image
from torch import Generator, Tensor, nn

from pancascade.imaging.preprocessing import Canvas, VolumeGrid, Window
from pancascade.imaging.volume import Box, Volume
from pancascade.inference.backends.torch_cascade import TorchCascade
from pancascade.labels import Label
from pancascade.methods.cascades import Cascade, Located, Zhao2019, Zhao2019Settings
from pancascade.methods.cascades.class_probabilities import compose_classes, compose_two_classes
from pancascade.methods.networks import NetworkSettings

AIR_HU, FAT_HU, MUSCLE_HU, PANCREAS_HU, TUMOUR_HU = -1000, -100, 40, 150, 230
ORGAN_FROM_HU, TUMOUR_FROM_HU = 95, 190
WINDOW = Window(lower_hu=-100, upper_hu=240)

PANCREAS_MM, PANCREAS_RADII_MM = (15, 12, 6), (50, 26, 30)
TUMOUR_MM, TUMOUR_RADIUS_MM = (32, 14, 9), 13
VESSEL_MM, VESSEL_RADIUS_MM = (-70, -20, 10), 13

SHAPE, SPACING_MM = (58, 46, 20), (5.0, 4.4, 6.0)


def rotation(about: int, degrees: float) -> np.ndarray:
    cosine, sine = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    first, second = (axis for axis in range(3) if axis != about)
    matrix = np.eye(3)
    matrix[[first, second], [first, second]] = cosine
    matrix[first, second], matrix[second, first] = -sine, sine
    return matrix


def centred(axes: np.ndarray, *, spacing_mm=SPACING_MM, shape=SHAPE) -> np.ndarray:
    """Affine whose middle voxel lies at the patient's origin."""
    affine = np.eye(4)
    affine[:3, :3] = axes * spacing_mm
    affine[:3, 3] = -affine[:3, :3] @ ((np.array(shape) - 1) / 2)
    return affine


LPS_AXES = np.diag([-1.0, -1.0, 1.0])


def abdomen(
    affine: np.ndarray | None = None, *, shape=SHAPE, pancreas: bool = True, tumour: bool = True
) -> tuple[Volume, np.ndarray]:
    """A CT and its true labels. A vessel as bright as the pancreas, but small and far away, is none of it."""
    affine = centred(LPS_AXES) if affine is None else affine
    hu, truth = (drawn.copy() for drawn in _drawn(np.asarray(affine, float).tobytes(), shape, pancreas, tumour))
    return Volume(hu, affine), truth


@lru_cache(maxsize=32)
def _drawn(affine_bytes: bytes, shape, pancreas: bool, tumour: bool) -> tuple[np.ndarray, np.ndarray]:
    """Hounsfield units and labels on a grid."""
    affine = np.frombuffer(affine_bytes).reshape(4, 4)
    places = np.moveaxis(np.indices(shape), 0, -1) @ affine[:3, :3].T + affine[:3, 3]

    def within(centre, radii):
        return (((places - centre) / radii) ** 2).sum(axis=-1) < 1

    hu = np.full(shape, AIR_HU, np.int16)
    hu[within((0, 0, 0), (130, 92, np.inf))] = FAT_HU
    hu[within((0, 0, 0), (118, 80, np.inf))] = MUSCLE_HU
    hu[within(VESSEL_MM, VESSEL_RADIUS_MM)] = PANCREAS_HU
    truth = np.zeros(shape, np.uint8)
    if pancreas:
        truth[within(PANCREAS_MM, PANCREAS_RADII_MM)] = Label.PANCREAS
    if tumour:
        truth[within(TUMOUR_MM, TUMOUR_RADIUS_MM)] = Label.TUMOUR
    hu[truth == Label.PANCREAS] = PANCREAS_HU
    hu[truth == Label.TUMOUR] = TUMOUR_HU
    return hu, truth


def turned(volume: Volume, codes: str) -> Volume:
    """The same scan with its axes in another order, by nibabel alone."""
    image = nib.Nifti1Image(volume.voxels, volume.affine)
    wanted = nib.orientations.axcodes2ornt(codes)
    other = image.as_reoriented(nib.orientations.ornt_transform(nib.io_orientation(image.affine), wanted))
    return Volume(np.asarray(other.dataobj), other.affine)


def save_pictures(folder: Path, slices: Sequence[int], *, window: Window, patient: Callable[[int], str]) -> None:
    """Slices of the phantom as a folder of pictures ``s0`` and so on, the back at the top, with their masks.

    Args:
        folder: Where they are written.
        slices: Which.
        window: Hounsfield units of grey 0 and 255.
        patient: Whose the picture of a number is.
    """
    scan, truth = abdomen()
    for part in ("images", "masks"):
        (folder / part).mkdir(parents=True)
    rows = ["name,patient,pixel_mm"]
    for number, k in enumerate(slices):
        grey = np.rint(window.apply(scan.voxels[:, :, k].T) * 255).astype(np.uint8)
        Image.fromarray(grey[::-1]).save(folder / "images" / f"s{number}.png")
        Image.fromarray(truth[:, :, k].T[::-1]).save(folder / "masks" / f"s{number}.png")
        rows.append(f"s{number},{patient(number)},4.0")
    (folder / "index.csv").write_text("\n".join(rows) + "\n")


def dice(one: np.ndarray, other: np.ndarray) -> float:
    return 2 * np.count_nonzero(one & other) / (np.count_nonzero(one) + np.count_nonzero(other))


def on_cpu(cascade: Cascade) -> TorchCascade:
    """The cascade ready to run, in float32."""
    return TorchCascade(cascade, torch.device("cpu"), reduced=False)


class HounsfieldCascade(Cascade):
    """Stage 1 believes in what is bright, stage 2 calls the brightest of it tumour, inside the boxes only."""

    dimensions = 2
    phases = ()

    def __init__(
        self, *, organ_hu: float = ORGAN_FROM_HU, tumour_hu: float | None = TUMOUR_FROM_HU, margin: int = 2
    ) -> None:
        super().__init__()
        self.labels = (Label.PANCREAS,) if tumour_hu is None else (Label.PANCREAS, Label.TUMOUR)
        self.organ_hu, self.tumour_hu, self.margin = organ_hu, tumour_hu, margin
        self.sizes: list[tuple[int, int]] = []
        self.register_buffer("weight", torch.zeros(1))

    def losses(
        self, images: Tensor, labels: Tensor, *, phase: str, generator: Generator
    ) -> Iterator[dict[str, Tensor]]:
        raise NotImplementedError

    def above(self, images: Tensor, hu: float) -> Tensor:
        return torch.sigmoid(40 * (images - float(WINDOW.apply(np.array([hu]))[0])))

    def locate(self, images: Tensor) -> Located:
        self.sizes.append(tuple(images.shape[2:]))
        return self.update_rois(None, self.above(images, self.organ_hu))

    def update_rois(self, located: Located | None, probabilities: Tensor) -> Located:
        boxes = [Box.around((probability_map[0] >= 0.5).numpy()) for probability_map in probabilities]
        size = tuple(probabilities.shape[2:])
        return Located(
            probabilities, tuple(() if box is None else (box.expand(self.margin).clip(size),) for box in boxes)
        )

    def segment(self, images: Tensor, located: Located) -> Tensor:
        inside = torch.zeros_like(images)
        for shown, boxes in zip(inside, located.boxes, strict=True):
            for box in boxes:
                shown[(0, *box.slices)] = 1
        organ = self.above(images, self.organ_hu) * inside
        if self.tumour_hu is None:
            return compose_two_classes(organ)
        return compose_classes(organ, self.above(images, self.tumour_hu) * inside)


class OneLook(HounsfieldCascade):
    """No stage 1 to ask, like the single networks: stage 2 sees the whole slice."""

    locates = False

    def locate(self, images: Tensor) -> Located:
        whole = Box.whole(tuple(images.shape[2:]))
        return Located(torch.ones_like(images), tuple((whole,) for _ in images))

    def update_rois(self, located: Located | None, probabilities: Tensor) -> Located:
        return located


class Brightness(nn.Module):
    """A 3-D network that finds what is bright; it treats every voxel alike."""

    def __init__(self, from_hu: float) -> None:
        super().__init__()
        self.from_hu = from_hu

    def forward(self, volumes: Tensor) -> Tensor:
        return 40 * (volumes - float(WINDOW.apply(np.array([self.from_hu]))[0]))


class Blind(nn.Module):
    """A 3-D network that finds nothing, whatever it sees."""

    def forward(self, volumes: Tensor) -> Tensor:
        return torch.full_like(volumes, -20)


def volume_cascade(*, finds: bool = True, first_hu: float = ORGAN_FROM_HU, **options) -> Zhao2019:
    """Zhao et al.'s cascade whose stages know the organ by its Hounsfield units; stage 1 may be made blind."""
    tiny = NetworkSettings(name="unet3d", preset="tiny")
    cascade = Zhao2019(Zhao2019Settings(first=tiny, second=tiny, **options)).eval()
    cascade.first = Brightness(first_hu) if finds else Blind()
    cascade.second = Brightness(ORGAN_FROM_HU)
    return cascade


GRID = VolumeGrid(kind="volume", window=WINDOW)


def described(*, size=(64, 64), spacing_mm: float | None = 4.0) -> SimpleNamespace:
    """What the engine needs of a checkpoint's description."""
    return SimpleNamespace(canvas=Canvas(size=size, spacing_mm=spacing_mm, window=WINDOW), training={})
