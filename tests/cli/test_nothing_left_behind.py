"""Libraries leave no folder for temporary files of their own, and none of them sends statistics of its use."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from pancascade.imaging.preprocessing import Canvas, Window
from pancascade.methods.cascades import SingleStageSettings, build_cascade
from pancascade.methods.checkpoint import describe, save_checkpoint
from pancascade.methods.networks import NetworkSettings

RUN = "import sys; from pancascade.cli.app import main; sys.argv[0] = 'pancascade'; main()"
RUNTIME = "from pancascade.inference.backends.onnx_runtime import onnx_runtime; onnx_runtime()"
OPENVINO = "from pancascade.inference.backends.openvino_core import core; core()"
UNSET = ("ORT_DISABLE_TELEMETRY", "TORCHINDUCTOR_CACHE_DIR", "PYTHONPATH")


def left_by(code: str, *arguments: object, folder: Path) -> list[str]:
    """Names of what a process of its own leaves in its folders for temporary and kept files."""
    places = {"TMPDIR": folder / "temporary", "XDG_CACHE_HOME": folder / "cache", "HOME": folder / "home"}
    for place in places.values():
        place.mkdir()
    kept = {name: value for name, value in os.environ.items() if name not in UNSET}
    environment = {
        **kept,
        **{name: str(place) for name, place in places.items()},
        "PYTHONPATH": os.pathsep.join(sys.path),
    }
    subprocess.run([sys.executable, "-c", code, *map(str, arguments)], env=environment, check=True, cwd=folder)
    return sorted(str(path.relative_to(folder)) for place in places.values() for path in place.rglob("*"))


def test_onnx_runtime_keeps_no_statistics(tmp_path):
    pytest.importorskip("onnxruntime")
    assert left_by(RUNTIME, folder=tmp_path) == []


def test_openvino_keeps_no_statistics(tmp_path):
    pytest.importorskip("openvino")
    assert left_by(OPENVINO, folder=tmp_path) == []


@pytest.mark.parametrize("module", ["graphs.graph_network", "export.formats", "backends.openvino_networks"])
def test_whatever_runs_openvino_hides_its_statistics_first(module):
    code = f"import sys, pancascade.inference.{module}; assert sys.modules['openvino_telemetry'] is None"
    subprocess.run(
        [sys.executable, "-c", code], check=True, env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    )


@pytest.mark.parametrize(("wanted", "turned_off"), [("0", 0), ("1", 1), (None, 1)])
def test_onnx_runtime_keeps_statistics_only_where_the_user_wants_them(monkeypatch, wanted, turned_off):
    onnxruntime = pytest.importorskip("onnxruntime")
    from pancascade.inference.backends.onnx_runtime import onnx_runtime

    calls = []
    monkeypatch.setattr(onnxruntime, "disable_telemetry_events", lambda: calls.append(1))
    monkeypatch.setenv("ORT_DISABLE_TELEMETRY", wanted or "")
    if wanted is None:
        monkeypatch.delenv("ORT_DISABLE_TELEMETRY")
    onnx_runtime()
    assert len(calls) == turned_off
    assert os.environ["ORT_DISABLE_TELEMETRY"] == (wanted or "1")


@pytest.mark.slow
def test_export_leaves_nothing_in_the_folder_for_temporary_files(tmp_path):
    pytest.importorskip("onnxscript")
    settings = SingleStageSettings(network=NetworkSettings(name="unet", preset="tiny"), labels=("pancreas",))
    canvas = Canvas(size=(32, 32), window=Window(lower_hu=-100, upper_hu=240))
    save_checkpoint(tmp_path / "w.safetensors", build_cascade(settings), description=describe(settings, canvas))
    left = left_by(RUN, "export", "w.safetensors", "-o", "out", folder=tmp_path)
    assert (tmp_path / "out" / "export.json").is_file()
    assert [name for name in left if name.startswith("temporary")] == []
