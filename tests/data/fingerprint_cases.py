"""Small cases with known fingerprints, drawn once for the tests of curation, report and command line."""

import math

import numpy as np
from PIL import Image

from pancascade.data.readers import Case, volume_list
from pancascade.imaging.io import write_volume
from pancascade.imaging.volume import Volume, reorient

SPACING = (0.8, 1.1, 2.5)
SHAPE = (40, 36, 12)
STRAIGHT = np.diag((-SPACING[0], -SPACING[1], SPACING[2], 1.0))


def phantom(seed: int = 0, *, tumour: bool = True) -> tuple[np.ndarray, np.ndarray]:
    """A body in air with an organ of 16 × 9 × 5 voxels and two tumours; arrays LPS."""
    noise = np.random.default_rng(seed)
    hu = np.full(SHAPE, -1000, np.int16)
    hu[4:36, 6:30] = noise.integers(-120, 80, (32, 24, 12))
    labels = np.zeros(SHAPE, np.uint8)
    labels[14:30, 12:21, 4:9] = 1
    if tumour:
        labels[15:20, 13:17, 5:7] = 2
        labels[28, 20, 8] = 2
    hu[labels == 1] = noise.normal(90, 20, (labels == 1).sum()).round()
    hu[labels == 2] = noise.normal(60, 15, (labels == 2).sum()).round()
    return hu, labels


def oblique() -> np.ndarray:
    """LPS axes, turned by 10 degrees about the body's axis and tilted by 8."""
    turn, tilt = math.radians(10), math.radians(8)
    about = np.array([[math.cos(turn), -math.sin(turn), 0], [math.sin(turn), math.cos(turn), 0], [0, 0, 1]])
    over = np.array([[1, 0, 0], [0, math.cos(tilt), -math.sin(tilt)], [0, math.sin(tilt), math.cos(tilt)]])
    affine = np.eye(4)
    affine[:3, :3] = about @ over @ np.diag((-SPACING[0], -SPACING[1], SPACING[2]))
    affine[:3, 3] = (30, -12, 400)
    return affine


def write_case(folder, name: str, hu: np.ndarray, labels: np.ndarray, *, affine=STRAIGHT, codes="LPS") -> None:
    for kind, voxels in (("ct", hu), ("label", labels)):
        write_volume(reorient(Volume(voxels, affine), codes), folder / f"{name}_{kind}.nii.gz")


def data_set(folder, names) -> list[Case]:
    rows = [f"{name}_ct.nii.gz,{name}_label.nii.gz,{name}" for name in names]
    (folder / "list.csv").write_text("\n".join(["image,label,patient", *rows, ""]))
    return volume_list(folder / "list.csv", root=folder)


def write_pictures(folder, grey: np.ndarray, mask: np.ndarray) -> None:
    for part, picture in (("images", grey.astype(np.uint8)), ("masks", mask)):
        (folder / part).mkdir()
        Image.fromarray(picture).save(folder / part / "a.png")
    (folder / "index.csv").write_text("name,patient\na,p1\n")
