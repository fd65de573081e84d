import json
import os
import signal
import sys
from pathlib import Path

# The cases are drawn once, beside the tests of curation.
sys.path.insert(0, str(Path(__file__).parents[1] / "data"))

import pytest
from fingerprint_cases import data_set, phantom, write_case
from gated_runs import GatedRun

from pancascade.data.describing.fingerprint import Fingerprint
from pancascade.report.data_sets.fingerprint_page import FILES

SHARED = Path(__file__).parents[3] / "shared" / "data"


@pytest.fixture
def listed(tmp_path) -> Path:
    for seed, name in enumerate("abc"):
        write_case(tmp_path, name, *phantom(seed, tumour=name != "c"))
    data_set(tmp_path, "abc")
    return tmp_path / "list.csv"


def describe(pancascade, *arguments: object) -> tuple[int, str, str]:
    return pancascade("data", "describe", *arguments, "--workers", 1)


def test_a_data_set_is_described_on_the_screen(pancascade, listed):
    code, reported, err = describe(pancascade, listed)
    assert (code, err) == (0, "")
    assert "3 cases of 3 patients, 3 with pancreas, 2 with tumour; 36 axial slices" in reported
    for words in ("pixel spacing, right to left [mm]", "volume of the pancreas [mL]", "1.58", "lower_hu", "nnU-Net"):
        assert words in reported
    assert not list(listed.parent.glob("*.json"))


def test_with_out_all_files_and_the_records_are_written(pancascade, listed, tmp_path):
    code, reported, _ = describe(pancascade, listed, "--out", tmp_path / "out")
    assert code == 0
    assert {path.name for path in (tmp_path / "out").iterdir()} == {*FILES, "cases"}
    assert {path.name for path in (tmp_path / "out" / "cases").iterdir()} == {f"{name}_ct.json" for name in "abc"}
    assert str(tmp_path / "out") in reported


def test_parts_of_a_split_become_columns(pancascade, listed, tmp_path):
    (tmp_path / "split.json").write_text(json.dumps({"train": ["a", "b"], "validation": [], "test": ["c"]}))
    code, reported, _ = describe(pancascade, listed, "--split", tmp_path / "split.json", "--out", tmp_path / "out")
    assert code == 0
    assert "all, 3 cases" in reported
    assert "train, 2 cases" in reported
    assert "test, 1 case " in reported
    found = Fingerprint.model_validate_json((tmp_path / "out" / "fingerprint.json").read_text())
    assert [group.name for group in found.groups] == ["all", "train", "test"]


def test_a_bad_case_is_told_after_the_others_and_ends_with_exit_code_1(pancascade, listed, tmp_path):
    (tmp_path / "b_ct.nii.gz").write_text("no scan")
    code, reported, err = describe(pancascade, listed, "--out", tmp_path / "out")
    assert (code, err) == (1, "")
    assert "2 cases of 2 patients" in reported
    assert "No numbers for b_ct: " in reported
    assert (tmp_path / "out" / "fingerprint.html").is_file()


@pytest.mark.parametrize("fault", ["no folder", "no layout", "split", "all bad", "not writable"])
def test_bad_input_is_one_sentence(pancascade, listed, tmp_path, fault):
    arguments: list[object] = [listed]
    if fault == "no folder":
        arguments = [tmp_path / "nowhere"]
    if fault == "no layout":
        (tmp_path / "empty").mkdir()
        arguments = [tmp_path / "empty"]
    if fault == "split":
        (tmp_path / "split.json").write_text('{"train": ["x"], "validation": [], "test": []}')
        arguments += ["--split", tmp_path / "split.json"]
    if fault == "all bad":
        for name in "abc":
            (tmp_path / f"{name}_label.nii.gz").unlink()
    if fault == "not writable":
        arguments += ["--out", listed]
    code, reported, err = describe(pancascade, *arguments)
    assert (code, reported) == (2, "\n" if reported == "\n" else "")
    assert err.startswith("Error: ")
    assert err.count("\n") == 1


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX signals")
def test_an_interrupted_run_goes_on_where_it_was(pancascade, tmp_path):
    names = [f"case{n}" for n in range(5)]
    for seed, name in enumerate(names):
        write_case(tmp_path, name, *phantom(seed))
    data_set(tmp_path, names)
    arguments = ["data", "describe", tmp_path / "list.csv", "--out", tmp_path / "out", "--workers"]
    run = GatedRun(*arguments, 2, folder=tmp_path, closed_to=r"case[2-9]_ct\.nii\.gz$")
    run.wait_at_gate(workers=2)
    os.killpg(run.process.pid, signal.SIGINT)
    err = run.end()
    run.open_gate()
    assert run.process.returncode == 130
    assert "Traceback" not in err
    records = tmp_path / "out" / "cases"
    assert sorted(path.name for path in records.iterdir()) == ["case0_ct.json", "case1_ct.json"]
    assert not (tmp_path / "out" / "fingerprint.json").exists()
    kept = tmp_path / "kept"
    kept.mkdir()
    for path in records.iterdir():
        (kept / path.name).hardlink_to(path)
    code, _, err = pancascade(*arguments, 1)
    assert (code, err) == (0, "")
    assert len(list(records.glob("*.json"))) == len(names)
    assert all(path.samefile(records / path.name) for path in kept.iterdir())


@pytest.mark.shared
def test_the_whole_scan_of_nih_is_described_as_its_documentation_does(pancascade, tmp_path):
    folder = SHARED / "nih_volumes"
    if not folder.is_dir():
        pytest.skip("needs ../shared/data")
    paths = ",".join(str(folder / f"PANCREAS_0001_{kind}.nii.gz") for kind in ("ct", "label"))
    (tmp_path / "list.csv").write_text(f"image,label,patient\n{paths},1\n")
    code, _, _ = describe(pancascade, tmp_path / "list.csv", "--out", tmp_path / "out")
    assert code == 0
    (case,) = Fingerprint.model_validate_json((tmp_path / "out" / "fingerprint.json").read_text()).cases
    assert case.size_vox == (512, 512, 240)
    assert case.hu["pancreas with tumour"].voxels == 78329
    assert case.pancreas_ml == pytest.approx(57.8, abs=0.05)
    assert case.hu["scan"].maximum_hu == 2421
