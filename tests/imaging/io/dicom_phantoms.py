"""CT series of every geometry that the reader takes, with a mask on them that has no symmetry at all."""

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
from dicom_writing import ct_slices, enhanced, normal_of, picture, save, save_all
from numpy.typing import NDArray

from pancascade.imaging.io import read_volume
from pancascade.imaging.volume import Volume

# What a whole study has and the plain phantoms have not: so that a validator has nothing to say about the source.
STUDY = {
    "FrameOfReferenceUID": "1.2.826.0.1.3680043.8.498.3",
    "PositionReferenceIndicator": "XY",
    "PatientSex": "F",
    "StudyDate": "20240131",
    "StudyTime": "101500.25",
    "StudyID": "S1",
    "StudyDescription": "Abdomen",
    "PatientAge": "073Y",
}
ANGLE = np.deg2rad(20)
OBLIQUE = tuple(
    (
        np.array([[np.cos(ANGLE), -np.sin(ANGLE), 0], [np.sin(ANGLE), np.cos(ANGLE), 0], [0, 0, 1]])
        @ np.array([[1, 0, 0], [0, np.cos(ANGLE), -np.sin(ANGLE)], [0, np.sin(ANGLE), np.cos(ANGLE)]])
    )[:, :2].T.ravel()
)
# ITK reads one bit a pixel wrongly where a frame does not end with a byte; no scanner has 35 pixels a frame.
PICTURE = picture(rows=8, columns=5, slices=6)
PROFILE = (-1.0, 0.0, 0.0, 0.0, -1.0, 0.0)


def _classic(folder: Path, **options: object) -> Path:
    save_all(ct_slices(PICTURE, **{**STUDY, **options}), folder)
    return folder


def _backwards(folder: Path) -> Path:
    return _classic(folder, step_mm=(0.0, 0.0, -2.5))


def _leaning(folder: Path) -> Path:
    return _classic(folder, step_mm=(0.0, 2.5 * np.tan(np.deg2rad(0.3)), 2.5))


def _enhanced(folder: Path, *, step: int = 1) -> Path:
    image = enhanced(ct_slices(PICTURE, **STUDY)[::step])
    for keyword, value in STUDY.items():
        setattr(image, keyword, value)
    save(image, folder / "enhanced.dcm")
    return folder


def _enhanced_in_two_files(folder: Path) -> Path:
    slices = ct_slices(PICTURE, **STUDY)
    for number, part in enumerate((slices[3:], slices[:3])):
        image = enhanced(part)
        for keyword, value in STUDY.items():
            setattr(image, keyword, value)
        save(image, folder / f"enhanced{number}.dcm")
    return folder


def _archive(folder: Path) -> Path:
    return Path(shutil.make_archive(str(folder.parent / "study"), "zip", _classic(folder)))


def _twice(folder: Path) -> Path:
    _classic(folder)
    shutil.copy(folder / "IM0002.dcm", folder / "again.dcm")
    return folder


SERIES: dict[str, Callable[[Path], Path]] = {
    "axial": _classic,
    "sorted the other way": _backwards,
    "negative cosines": lambda folder: _classic(folder, orientation=PROFILE),
    "upside down": lambda folder: _classic(folder, orientation=(1.0, 0.0, 0.0, 0.0, -1.0, 0.0)),
    "rows for columns": lambda folder: _classic(folder, orientation=(0.0, 1.0, 0.0, 1.0, 0.0, 0.0)),
    "oblique": lambda folder: _classic(folder, orientation=OBLIQUE),
    "sagittal": lambda folder: _classic(folder, orientation=(0.0, 1.0, 0.0, 0.0, 0.0, -1.0)),
    "coronal": lambda folder: _classic(folder, orientation=(1.0, 0.0, 0.0, 0.0, 0.0, -1.0)),
    "thick": lambda folder: _classic(folder, spacing_mm=(0.31, 1.7), step_mm=10 * normal_of((1, 0, 0, 0, 1, 0))),
    "leaning by 0.3 degrees": _leaning,
    "enhanced": _enhanced,
    "enhanced, frames backwards": lambda folder: _enhanced(folder, step=-1),
    "enhanced in two files": _enhanced_in_two_files,
    "archive": _archive,
    "a slice twice": _twice,
}


def lopsided(shape: tuple[int, int, int]) -> NDArray[np.uint8]:
    """A mask with a hole, corners that touch, single pixels, the picture's border, and nothing in slice 1."""
    mask = np.random.default_rng(5).choice(np.array([0, 1, 2], np.uint8), shape, p=(0.5, 0.35, 0.15))
    mask[:3, :3, 0], mask[1, 1, 0] = 1, 0
    mask[:, :, 1] = 0
    return mask


def scan_and_mask(name: str, folder: Path) -> tuple[Path, Volume, Volume]:
    """Where the series is, the scan as it is read, and a mask on it."""
    path = SERIES[name](folder)
    scan = read_volume(path, series="3")
    return path, scan, scan.with_voxels(lopsided(scan.shape))
