"""A small abdomen drawn in Hounsfield units, and a data set of such patients in the decathlon's layout."""

import json
from pathlib import Path

import nibabel as nib
import numpy as np
from scipy import ndimage

SHAPE = (72, 64, 30)
SPACING_MM = (4.5, 4.5, 4.0)
PANCREAS, TUMOUR = 1, 2


def abdomen(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """HU and labels of a patient, (I, J, K), axes to the right, front, head (RAS); lopsided in every direction.

    The organ is a bent bright piece in fat; its tumour is darker. Seeds differ in what lies about it.
    """
    rng = np.random.default_rng(seed)
    i, j, _ = np.indices(SHAPE).astype(np.float32)
    body = ((i - 36) / 31) ** 2 + ((j - 32) / 26) ** 2 < 1
    hu = np.where(body, -90.0, -1000.0)
    texture = ndimage.gaussian_filter(rng.normal(size=SHAPE), 3)
    hu[body & (texture > 0.6 * texture.std())] = 55
    hu[((i - 36) ** 2 + (j - 12) ** 2 < 36)] = 400  # spine
    labels = np.zeros(SHAPE, np.uint8)
    labels[26:46, 38:43, 14:19] = PANCREAS
    labels[40:46, 34:43, 8:16] = PANCREAS
    around = ndimage.binary_dilation(labels > 0, iterations=3) & (labels == 0)
    hu[around] = -100
    hu[labels > 0] = 95
    labels[41:45, 35:40, 9:13] = TUMOUR
    hu[labels == TUMOUR] = 50
    return (hu + rng.normal(0, 8, SHAPE)).astype(np.int16), labels


def affine() -> np.ndarray:
    """RAS, so that array axes are right, front, head."""
    return np.diag((*SPACING_MM, 1.0))


def save(voxels: np.ndarray, path: Path, matrix: np.ndarray | None = None) -> Path:
    """Write a NIfTI file, with its folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.save(nib.Nifti1Image(voxels, affine() if matrix is None else matrix), path)
    return path


def write_msd(folder: Path, *, patients: int = 2) -> Path:
    """A data set in the decathlon's layout; patients p0, p1, ..."""
    listed = []
    for seed in range(patients):
        hu, labels = abdomen(seed)
        names = {"image": f"./imagesTr/p{seed}.nii.gz", "label": f"./labelsTr/p{seed}.nii.gz"}
        save(hu, folder / names["image"])
        save(labels, folder / names["label"])
        listed.append(names)
    content = {"labels": {"0": "background", "1": "pancreas", "2": "cancer"}, "training": listed, "test": []}
    (folder / "dataset.json").write_text(json.dumps(content))
    return folder
