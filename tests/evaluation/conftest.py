from pathlib import Path

import numpy as np
import pytest
from mask_cases import AFFINE, label_map

from pancascade.imaging.io import write_volume
from pancascade.imaging.volume import Volume


@pytest.fixture
def folders(tmp_path) -> Path:
    """Four references, and the predictions of two methods, good and bad, for all of them."""
    for n in range(4):
        truth = label_map(n)
        for name, labels in (
            ("reference", truth),
            ("good", np.where(label_map(n + 50) == 2, 0, truth)),
            ("bad", label_map(n + 100)),
        ):
            write_volume(Volume(labels, AFFINE), tmp_path / name / f"case{n}.nii.gz")
    return tmp_path
