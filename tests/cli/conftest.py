import sys
from pathlib import Path

# The phantom is drawn once, beside the tests of inference; DICOM files are written beside those of reading.
sys.path.insert(0, str(Path(__file__).parents[1] / "inference"))
sys.path.insert(0, str(Path(__file__).parents[1] / "imaging" / "io"))

import pytest
from abdomen_phantom import HounsfieldCascade, abdomen, described

from pancascade.imaging.io import write_volume
from small_pictures import small_pictures

__all__ = ["small_pictures"]


@pytest.fixture
def knows_the_phantom(monkeypatch):
    """Every model's checkpoints are the phantom's cascade; give the HU from which on it sees an organ."""

    def use(organ_hu: float = 95) -> None:
        monkeypatch.setattr("pancascade.inference.runners.loading.has_graphs", lambda _: False)
        monkeypatch.setattr(
            "pancascade.inference.runners.torch_runners.load_checkpoint",
            lambda path: (HounsfieldCascade(organ_hu=organ_hu), described()),
        )

    use()
    return use


@pytest.fixture
def scan(tmp_path) -> Path:
    volume, _ = abdomen()
    write_volume(volume, tmp_path / "scan.nii.gz")
    return tmp_path / "scan.nii.gz"
