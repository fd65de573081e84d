import shutil
import sys
from pathlib import Path
from types import SimpleNamespace

# The phantom is drawn beside the tests of inference; DICOM files are written beside those of reading.
sys.path.insert(0, str(Path(__file__).parents[2] / "inference"))
sys.path.insert(0, str(Path(__file__).parents[2] / "imaging" / "io"))
sys.path.insert(0, str(Path(__file__).parents[2] / "cli"))

import pytest
from abdomen_phantom import HounsfieldCascade, abdomen, described

from pancascade.execution import Finished
from pancascade.imaging.io import write_volume
from pancascade.segmentation.batch import case_work, segment_many
from small_pictures import pictures_made_small


class Here:
    """An executor in the process of the tests, so that they can put the phantom's cascade in the model's place."""

    def run(self, work, jobs):
        for job in jobs:
            yield Finished(job, work(job))


def phantom_model(patch: pytest.MonkeyPatch) -> Here:
    """Its `loaded` grows with every checkpoint that is read."""
    executor = Here()
    executor.loaded = []

    def load(path):
        executor.loaded.append(path)
        return HounsfieldCascade(), described()

    case_work._loaded.cache_clear()
    patch.setattr("pancascade.inference.runners.loading.has_graphs", lambda _: False)
    patch.setattr("pancascade.inference.runners.torch_runners.load_checkpoint", load)
    return executor


@pytest.fixture
def here(monkeypatch):
    yield phantom_model(monkeypatch)
    case_work._loaded.cache_clear()


def draw_scans(folder: Path) -> None:
    write_volume(abdomen()[0], folder / "MILLER.nii.gz")
    write_volume(abdomen(pancreas=False, tumour=False)[0], folder / "deep" / "SMITH.nii.gz")
    (folder / "JONES.nii.gz").write_bytes(b"no picture")


@pytest.fixture(scope="session")
def finished(tmp_path_factory) -> SimpleNamespace:
    """A batch of two scans and a file that is none; not to be changed."""
    root = tmp_path_factory.mktemp("batch")
    draw_scans(root / "scans")
    with pytest.MonkeyPatch.context() as patch, pictures_made_small():
        executor = phantom_model(patch)
        found = list(segment_many([root / "scans"], root / "out", executor=executor))
    case_work._loaded.cache_clear()
    return SimpleNamespace(
        root=root,
        scans=root / "scans",
        out=root / "out",
        cases={case.scan.path.name: case for case in found},
        loaded=executor.loaded,
    )


@pytest.fixture
def out(finished, tmp_path) -> Path:
    """A copy of that batch's results."""
    return shutil.copytree(finished.out, tmp_path / "out")


@pytest.fixture
def tiny_scans(tmp_path) -> Path:
    """Files that are refused before any network is loaded."""
    for number in range(3):
        (tmp_path / f"{number}.nii").write_bytes(b"x" * (7 + number))
    return tmp_path
