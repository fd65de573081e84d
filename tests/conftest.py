"""Property tests draw the same 50 examples in every run; ``--hypothesis-profile=new`` looks for others, 100 each time.

None of them is judged by how long it took: the machine may be busy with something else.
"""

import gc
import os
import sys
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

UNTIMED = {"deadline": None, "suppress_health_check": [HealthCheck.too_slow]}
settings.register_profile("new", **UNTIMED)
settings.register_profile("repeatable", derandomize=True, max_examples=50, **UNTIMED)
settings.load_profile("repeatable")


def pytest_collection_finish(session):
    """Thousands of tests live to the end, with all that they import: the garbage collector need not look at them."""
    gc.collect()
    gc.freeze()


# Where several processes share the tests, one has all of such a folder: each would make its dear runs anew.
TOGETHER = ("tests/training/", "tests/segmentation/batch/", "tests/services/pacs/", "tests/data/checking/")
# These come first, so that in the end no process waits for another one's long file.
LONG = (
    "tests/training/",
    "tests/execution/test_ray_cluster.py",
    "tests/fuzz/",
    "tests/inference/graphs/",
    "tests/services/pacs/",
    "tests/cli/test_privacy.py",
    "tests/test_without_torch.py",
    "tests/end_to_end/",
)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    if "PYTEST_XDIST_WORKER" in os.environ:
        items.sort(key=lambda item: next((n for n, name in enumerate(LONG) if item.nodeid.startswith(name)), len(LONG)))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    if config.getvalue("dist") != "loadfile":
        return None
    from xdist.scheduler import LoadFileScheduling

    class ByFileOrFolder(LoadFileScheduling):
        def _split_scope(self, nodeid):
            return next((folder for folder in TOGETHER if nodeid.startswith(folder)), super()._split_scope(nodeid))

    config.option.loadscopereorder = False  # by the number of tests, which says little of their time
    return ByFileOrFolder(config, log)


# What tests of several folders share.
sys.path.insert(0, str(Path(__file__).parent))

# The user's list of fonts serves as well: to make one takes seconds in each process.
os.environ.setdefault(
    "MPLCONFIGDIR", str(Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache", "matplotlib"))
)
# Compiled networks of tests are none of the user's.
os.environ["XDG_CACHE_HOME"] = tempfile.mkdtemp(prefix="pancascade-tests-")
# Tests that import ONNX Runtime or OpenVINO themselves send nothing, as pancascade does.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"
sys.modules.setdefault("openvino_telemetry", None)


@pytest.fixture(scope="session", autouse=True)
def parser_made_once():
    """The parser of the command line, which a program makes once, is not made anew for each of a thousand calls."""
    from functools import cache

    from typer import main

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(main, "get_command", cache(main.get_command))
        yield


@pytest.fixture(scope="module")
def one_thread():
    """Sums are added in the same order each time: ``pytestmark = pytest.mark.usefixtures("one_thread")``."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def pancascade(monkeypatch, capsys):
    """Run the command line: exit code, standard output, standard error."""
    from pancascade.cli.app import main

    def run(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["pancascade", *map(str, arguments)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main()
        out, err = capsys.readouterr()
        return ended.value.code or 0, out, err

    return run
