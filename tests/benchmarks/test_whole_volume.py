"""The benchmark that outsiders run on scans of their own."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

sys.path.insert(0, str(Path(__file__).parents[1] / "inference"))
sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

from abdomen_phantom import HounsfieldCascade, abdomen, described

import whole_volume
from pancascade.imaging.io import write_volume
from pancascade.imaging.preprocessing import Canvas, Window
from pancascade.imaging.volume import reorient
from pancascade.methods.cascades import build_cascade
from pancascade.methods.cascades.single_stage import SingleStageSettings
from pancascade.methods.checkpoint import describe, save_checkpoint
from pancascade.methods.networks import NetworkSettings

PANCREAS, TUMOUR, LIVER = 7, 9, 3


@pytest.fixture
def folders(tmp_path) -> tuple[Path, Path]:
    """Four scans with references of many organs: one exact, one cut short, one empty, one without a readable scan."""
    scan, exact = abdomen()
    organ = exact > 0
    values = np.choose(exact, [0, PANCREAS, TUMOUR]).astype(np.int16)
    values[~organ & (scan.voxels > 20)] = LIVER
    scan_lps = reorient(scan.with_voxels(values), "RAS")
    slices = np.flatnonzero(np.isin(scan_lps.voxels, (PANCREAS, TUMOUR)).any(axis=(0, 1)))
    short = scan_lps.voxels.copy()
    short[:, :, slices[-1]] = LIVER  # the highest slice of the organ
    scans, references = tmp_path / "scans", tmp_path / "references"
    for name in ("exact", "short", "empty"):
        write_volume(scan, scans / f"{name}_0000.nii.gz")
    (scans / "broken_0000.nii.gz").write_bytes(b"no scan")
    write_volume(scan.with_voxels(values), references / "Exact.nii.gz")
    write_volume(scan_lps.with_voxels(short), references / "short.nii.gz")
    write_volume(scan.with_voxels(np.where(values == LIVER, values, 0)), references / "empty.nii.gz")
    write_volume(scan.with_voxels(values), references / "broken.nii.gz")
    write_volume(scan.with_voxels(values), references / "alone.nii.gz")
    return scans, references


@pytest.fixture
def phantom_model(tmp_path, monkeypatch) -> Path:
    """A model that finds the phantom's organ, run in this process."""
    monkeypatch.setattr("pancascade.inference.runners.loading.has_graphs", lambda _: False)
    monkeypatch.setattr(
        "pancascade.inference.runners.torch_runners.load_checkpoint", lambda path: (HounsfieldCascade(), described())
    )
    monkeypatch.setattr(
        whole_volume, "run_apart", lambda arguments: whole_volume.measure_one(whole_volume.parsed(arguments))
    )
    path = tmp_path / "phantom.json"
    path.write_text(json.dumps({"name": "phantom", "summary": "s", "steps": [{"weights": "w.safetensors"}]}))
    return path


def run(*arguments: object) -> dict:
    whole_volume.main([*map(str, arguments)])
    return json.loads(Path(arguments[-1]).read_text())


def test_a_folder_of_scans_is_measured_case_by_case(folders, phantom_model, tmp_path, capsys):
    labels = ("--label", PANCREAS, "--tumour-label", TUMOUR)
    found = run(*folders, *labels, "--model", phantom_model, "--out", tmp_path / "out" / "result.json")
    (variant,) = found["variants"].values()
    cases, printed = variant["cases"], capsys.readouterr().out
    assert sorted(cases) == ["Exact", "alone", "broken", "empty", "short"]
    exact, short = cases["Exact"], cases["short"]
    assert exact["dice"] > 0.85
    assert exact["dice_tumour"] > 0.5
    assert short["above_ml"] > exact["above_ml"]
    assert short["below_ml"] == exact["below_ml"]
    assert short["volume_error_ml"] - exact["volume_error_ml"] == pytest.approx(
        exact["reference_ml"] - short["reference_ml"]
    )
    assert short["sensitivity"] >= exact["sensitivity"]
    assert exact["hd95_mm"] >= 0
    assert 0 <= exact["confidence"] <= 1
    assert cases["empty"]["false_positive_ml"] == pytest.approx(exact["reference_ml"] + exact["volume_error_ml"])
    assert "broken_0000.nii.gz" in cases["broken"]["failed"]
    assert "no scan" in cases["alone"]["failed"]
    dice = variant["summary"]["dice"]
    assert dice["mean"] == dice["median"] == pytest.approx((exact["dice"] + short["dice"]) / 2)
    assert dice["min"] == min(exact["dice"], short["dice"])
    assert (found["labels"], found["tumour_labels"], found["model"]) == ([PANCREAS], [TUMOUR], "phantom")
    assert {"machine", "versions"} <= found.keys()
    for words in ("empty: reference empty", "broken: failed", "alone: failed", "median"):
        assert words in printed


def test_other_labels_change_what_is_compared(folders, phantom_model, tmp_path):
    scan, reference = folders[0] / "exact_0000.nii.gz", folders[1] / "Exact.nii.gz"
    out = ("--model", phantom_model, "--out", tmp_path / "r.json")
    both = run(scan, reference, "--label", PANCREAS, "--label", TUMOUR, *out)["variants"]["as shipped"]["cases"]
    alone = run(scan, reference, "--label", PANCREAS, *out)["variants"]["as shipped"]["cases"]
    assert both["Exact"]["dice"] > alone["Exact"]["dice"]
    assert "dice_tumour" not in both["Exact"]


def test_variants_are_the_model_without_its_parts(folders, phantom_model, tmp_path):
    scan, reference = folders[0] / "exact_0000.nii.gz", folders[1] / "Exact.nii.gz"
    found = run(scan, reference, "--label", 7, "--model", phantom_model, "--variants", "--out", tmp_path / "r.json")
    assert list(found["variants"]) == ["as shipped", "no consistency along the body"]


@pytest.mark.parametrize("labels", [("--label", "0"), ("--label", "2", "--tumour-label", "2"), ("--workers", "0")])
def test_labels_that_mean_nothing_are_refused(folders, labels):
    with pytest.raises(SystemExit, match="2"):
        whole_volume.parsed([*map(str, folders), *labels])


@pytest.mark.slow
def test_every_scan_has_a_process_of_its_own(folders, tmp_path):
    settings = SingleStageSettings(network=NetworkSettings(name="unet", preset="tiny"))
    canvas = Canvas(size=(48, 64), spacing_mm=6.0, window=Window(lower_hu=-50, upper_hu=150))
    torch.manual_seed(0)
    save_checkpoint(
        tmp_path / "tiny.safetensors", build_cascade(settings).eval(), description=describe(settings, canvas)
    )
    for name in ("empty_0000", "short_0000"):
        (folders[0] / f"{name}.nii.gz").unlink()
    out = ("--model", tmp_path / "tiny.safetensors", "--workers", 2, "--out", tmp_path / "r.json")
    cases = run(*folders, "--label", PANCREAS, *out)["variants"]["as shipped"]["cases"]
    assert cases["Exact"]["peak_memory_gb"] > 0
    assert 0 <= cases["Exact"]["dice"] <= 1
    assert "failed" in cases["broken"]
