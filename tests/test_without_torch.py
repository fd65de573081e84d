"""The verbs that most people need, where torch is not installed."""

import json
import os
import subprocess
import sys
from pathlib import Path

import nibabel as nib
import pytest

pytest.importorskip("openvino")

ROOT = Path(__file__).parents[1]

WITHOUT = """
import importlib.metadata, importlib.util, json, sys
MISSING = {"torch", "lightning_fabric", "tensorboard", "monai", "onnx", "onnxscript"}

class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in MISSING:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Missing())
find = importlib.util.find_spec
importlib.util.find_spec = lambda name, package=None: None if name.partition(".")[0] in MISSING else find(name, package)

version = importlib.metadata.version

def installed(name):
    if name in MISSING:
        raise importlib.metadata.PackageNotFoundError(name)
    return version(name)

importlib.metadata.version = installed

from pancascade.cli.app import main

from small_pictures import pictures_made_small

with pictures_made_small():
    for arguments in json.loads(sys.argv[1]):
        sys.argv = ["pancascade", *arguments]
        try:
            main()
        except SystemExit as ended:
            print("ENDED", ended.code or 0, flush=True)
assert "torch" not in sys.modules
"""


def run(*commands: list[str]) -> tuple[list[int], str]:
    """Exit codes of the commands, one after another in one process without torch, and all that they said as errors."""
    paths = [*filter(None, [os.environ.get("PYTHONPATH")]), str(Path(__file__).parent)]
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT, json.dumps([[str(part) for part in one] for one in commands])],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
    )
    assert done.returncode == 0, done.stderr
    return [int(line.split()[1]) for line in done.stdout.splitlines() if line.startswith("ENDED")], done.stderr


def test_a_scan_is_segmented_evaluated_and_collected(tmp_path):
    result, scan = tmp_path / "result", tmp_path / "scan.nii.gz"
    # Every other voxel of the slices that show most: the networks are the shipped ones all the same.
    nib.save(nib.load(ROOT / "examples" / "pancreatic_ct.nii.gz").slicer[::2, ::2, 14:26], scan)
    codes, _ = run(
        ["segment", scan, "--out", result],
        ["evaluate", result / "segmentation.nii.gz", result / "segmentation.nii.gz", "--out", tmp_path / "evaluated"],
        ["cohort", tmp_path, "--out", tmp_path / "cohort"],
        ["models"],
    )
    assert codes == [0, 0, 0, 0]
    reported = json.loads((result / "result.json").read_text())
    assert reported["backend"].startswith("OpenVINO")
    assert "torch" not in reported["versions"]


def test_what_needs_torch_says_so_in_one_sentence(tmp_path):
    scan = ROOT / "examples" / "pancreatic_ct.nii.gz"
    weights = tmp_path / "mine.safetensors"
    weights.write_bytes((ROOT / "src" / "pancascade" / "weights" / "tumour.safetensors").read_bytes())
    out = ["--out", tmp_path / "out"]
    codes, said = run(
        ["train", "qiu2024_small", "--data", tmp_path, *out],
        ["export", "qiu2024-small", *out],
        ["segment", scan, "--model", weights, *out],
        ["segment", scan, "--backend", "torch", *out],
        ["segment", scan, "--device", "cuda", *out],
    )
    assert codes == [2, 2, 2, 2, 2]
    sentences = [line for line in said.splitlines() if line.startswith("Error: ")]
    assert len(sentences) == len(codes)
    assert all("pancascade[train]" in line or "pancascade[export]" in line for line in sentences)
    assert not (tmp_path / "out").exists()
