import sys
from importlib import import_module
from pathlib import Path

import pytest

for name in ("inference", "imaging/io"):
    sys.path.insert(0, str(Path(__file__).parents[2] / name))

running = import_module("running")  # needs the places above


@pytest.fixture
def studies(tmp_path):
    """A folder with one oblique scan, for MONAI Label's routes."""
    import_module("label_server").oblique_scan(tmp_path / "studies" / "ct.nii.gz")
    return tmp_path / "studies"


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    """A server for the tests of a file, which leave nothing behind in it."""
    with running.running(tmp_path_factory.mktemp("server")) as server:
        yield server


@pytest.fixture
def server(shared):
    """The shared server, without jobs."""
    for job in shared.service.jobs.all():
        shared.service.remove(job.id)
    return shared
