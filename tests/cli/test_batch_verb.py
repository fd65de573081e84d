import json
import signal
import sys
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from gated_runs import GatedRun

from pancascade.execution import Finished
from pancascade.segmentation.batch import case_work


class Here:
    def run(self, work, jobs):
        for job in jobs:
            yield Finished(job, work(job))


@pytest.fixture
def here(monkeypatch, knows_the_phantom):
    case_work._loaded.cache_clear()
    monkeypatch.setattr("pancascade.cli.executor_options.choose_executor", lambda *_, **__: Here())
    yield
    case_work._loaded.cache_clear()


def lines(out: Path) -> list[dict]:
    return [json.loads(line) for line in (out / "ledger.jsonl").read_text().splitlines()]


def test_a_batch_says_how_far_it_is_and_ends_with_1_where_a_scan_was_refused(pancascade, here, scan, tmp_path):
    (tmp_path / "bad.nii").write_bytes(b"nothing")
    out = tmp_path / "out"
    code, reported, err = pancascade(
        "batch", scan, tmp_path / "bad.nii", "--out", out, "--mapping", tmp_path / "map.csv"
    )
    assert (code, err) == (1, "")
    (done, refused) = sorted(lines(out), key=lambda line: line["state"])
    assert reported.startswith("2 scans.\n[1/2] ")
    assert "left\n" in reported
    assert f"Refused: {refused['reason']['sentence']}" in reported
    assert "1 of 2 scans done, 0 with warnings, 1 refused." in reported
    assert str(out / "cohort.html") in reported
    assert done["case"] in (tmp_path / "map.csv").read_text()
    page = (out / "cohort.html").read_text()
    assert f"{done['case']}/report.html" in page
    assert refused["case"] in page
    code, reported, _ = pancascade("batch", scan, "--out", out, "--resume")
    assert (code, reported.splitlines()[0]) == (0, "1 scan, 1 of them known from an earlier run.")


def test_on_a_terminal_there_is_a_bar(pancascade, here, no_scans, tmp_path, monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")
    code, reported, _ = pancascade("batch", no_scans, "--out", tmp_path / "out")
    assert code == 1
    assert "5 of 5 scans, 5 refused" in reported


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("missing", "--out", "out"), "missing: there is no such file or folder"),
        ((".", "--out", "out"), "no scan was found"),
        (("a.nii", "--out", "a.nii"), "cannot be written"),
        (("a.nii", "--out", "out", "--model", "nothing"), "nothing: no such model"),
        (("a.nii", "--out", "out", "--max-memory", "-1"), "max_memory_gb"),
        (("a.nii", "--out", "out", "--address", "auto"), "--address is for a Ray cluster"),
        (("a.nii", "--out", "out", "--engine", "ray", "--address", "auto", "--workers", "2"), "--workers does not go"),
        (("a.nii", "--out", "out", "--mapping", "a.nii"), "is one of the scans"),
        (("here", "--out", "out", "--flat", "here/deep/flat"), "flat: lies in a folder of scans"),
        (("a.nii", "--out", "out", "--flat", "a.nii/flat"), "flat: cannot be written"),
        (("a.nii", "--out", "out", "--pancreas-model", "nothing"), "nothing: no such model"),
        (("a.nii", "--out", "out", "--device", "toaster"), "toaster"),
    ],
)
def test_what_cannot_be_run_ends_with_2_and_one_sentence(pancascade, tmp_path, monkeypatch, arguments, said, request):
    monkeypatch.chdir(tmp_path)
    if "nothing" in arguments:
        request.getfixturevalue("here")
    if arguments[0] == "here":
        (tmp_path / "here").mkdir()
        (tmp_path / "here" / "a.nii").touch()
    elif arguments[0] != ".":
        nib.save(nib.Nifti1Image(np.full((20, 20, 12), -1000, np.int16), np.diag([4, 4, 4, 1])), tmp_path / "a.nii")
    code, _, err = pancascade("batch", *arguments)
    assert code == 2
    (line,) = err.strip().splitlines()
    assert said in line
    assert len(line) <= 207
    assert not (tmp_path / "out").exists()


def test_without_ray_a_sentence_says_how_to_install_it(pancascade, scan, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    code, _, err = pancascade("batch", scan, "--out", tmp_path / "out", "--engine", "ray")
    assert code == 2
    assert err.startswith('Error: Ray is not installed. Run pip install "pancascade[cluster]"')


@pytest.fixture
def no_scans(tmp_path) -> Path:
    """Files that are refused before any network is loaded; the smallest comes last."""
    folder = tmp_path / "in"
    folder.mkdir()
    for number in range(5):
        (folder / f"{number}.nii").write_bytes(b"x" * (100 - number))
    return folder


@pytest.mark.skipif(sys.platform == "win32", reason="no named pipes")
def test_a_batch_that_is_killed_loses_the_case_in_flight_only(pancascade, no_scans, tmp_path):
    out = tmp_path / "out"
    arguments = ("batch", no_scans, "--out", out, "--names", "order", "--workers", 1)
    run = GatedRun(*arguments, folder=tmp_path, closed_to=r"in/3\.nii$")
    run.wait_for("at the gate")
    run.process.kill()
    run.end()
    before = lines(out)
    assert [line["case"] for line in before] == ["case-0001", "case-0002", "case-0003"]
    run.open_gate()
    assert pancascade(*arguments, "--resume")[0] == 1
    assert lines(out)[:3] == before
    assert [line["case"] for line in lines(out)[3:]] == ["case-0004", "case-0005"]
    assert not [path for path in out.iterdir() if path.name.startswith(".")]


@pytest.mark.skipif(sys.platform == "win32", reason="no named pipes")
def test_a_batch_that_is_told_to_end_says_how_to_go_on(no_scans, tmp_path):
    run = GatedRun("batch", no_scans, "--out", tmp_path / "out", folder=tmp_path, closed_to=r"in/1\.nii$")
    run.wait_for("at the gate")
    run.process.terminate()
    said = run.end()
    assert run.process.returncode == 128 + signal.SIGTERM
    assert "Interrupted. Nothing half-written was left; `train`, `predict` and `batch` continue with --resume" in said
    assert len(said.splitlines()) == 1
    assert not (tmp_path / "out" / ".pancascade-lock").exists()
