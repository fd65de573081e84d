import sys
from pathlib import Path

# The phantom is drawn once, beside the tests of inference.
sys.path.insert(0, str(Path(__file__).parents[2] / "inference"))
sys.path.insert(0, str(Path(__file__).parents[2] / "cli"))

import nibabel as nib
import numpy as np
import pytest
from abdomen_phantom import LPS_AXES, centred, rotation

from pancascade.imaging.io import read_volume
from pancascade.imaging.volume import Volume

SHAPE = (26, 22, 18)
GRIDS = {
    "lps": LPS_AXES,
    "flipped": np.diag([1.0, -1.0, -1.0]),
    "permuted": np.array([[0, 0, 1.0], [1, 0, 0], [0, -1, 0]]),
    "oblique": rotation(0, 14) @ rotation(2, 9) @ LPS_AXES,
}


@pytest.fixture(params=GRIDS)
def file(request, tmp_path) -> Path:
    """A small CT of anisotropic voxels in a file whose axes point wherever."""
    affine = centred(GRIDS[request.param], spacing_mm=(3.0, 3.6, 5.0), shape=SHAPE)
    hu = np.random.default_rng(0).normal(60, 90, SHAPE).astype(np.int16)
    nib.save(nib.Nifti1Image(hu, affine), tmp_path / "scan.nii")
    return tmp_path / "scan.nii"


@pytest.fixture
def volume(tmp_path) -> Volume:
    """The same, LPS."""
    affine = centred(LPS_AXES, spacing_mm=(3.0, 3.6, 5.0), shape=SHAPE)
    hu = np.random.default_rng(0).normal(60, 90, SHAPE).astype(np.int16)
    nib.save(nib.Nifti1Image(hu, affine), tmp_path / "scan.nii")
    return read_volume(tmp_path / "scan.nii")
