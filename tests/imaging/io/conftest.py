from pathlib import Path

import numpy as np
import pytest

from pancascade.imaging.volume import Volume

SHARED = Path(__file__).resolve().parents[4] / "shared" / "data"


@pytest.fixture
def shared_data() -> Path:
    if not SHARED.is_dir():
        pytest.skip(f"the real data is not at {SHARED}")
    return SHARED


@pytest.fixture
def ct() -> Volume:
    """A body of fat, muscle and bone in air: 64 x 64 x 12 voxels of 5.5 x 5.5 x 5 mm, LPS."""
    row, column = np.mgrid[-1:1:64j, -1:1:64j]
    radius = np.hypot(row, column * 1.4)
    picture = np.select([radius < 0.1, radius < 0.7, radius < 0.85], [400, 45, -105], default=-1000)
    noise = np.random.default_rng(3).normal(0, 12, (64, 64, 12))
    affine = np.diag([-5.5, -5.5, 5.0, 1.0])
    affine[:3, 3] = (173.25, 180.5, -62.125)
    return Volume((picture[:, :, None] + noise).astype(np.int16), affine, Path("scan.nii.gz"))
