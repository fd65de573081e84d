import numpy as np
import pytest
from volume_grids import GRIDS

from pancascade.imaging.volume import Volume


@pytest.fixture(params=GRIDS, ids=list(GRIDS))
def affine(request: pytest.FixtureRequest) -> np.ndarray:
    return GRIDS[request.param]


@pytest.fixture
def scan(affine: np.ndarray) -> Volume:
    """Every voxel another value, so that a swap of any two shows."""
    return Volume(np.arange(6 * 7 * 5, dtype=np.int16).reshape(6, 7, 5), affine)
