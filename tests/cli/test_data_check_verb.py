"""``pancascade data check``: table, findings, files, exit codes."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "data"))

from abdomen_set import abdomen, save, write_msd

from pancascade.errors import OutputError


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    monkeypatch.setattr("pancascade.data.checking.check.find_duplicates", lambda images: [])
    return write_msd(tmp_path / "Task07", patients=2)


def test_a_sound_set_ends_with_0_and_says_so(folder, pancascade):
    code, out, _ = pancascade("data", "check", folder, "--workers", 1)
    assert code == 0
    assert "2 cases of 2 patients" in out
    assert "No errors and no warnings." in out
    assert "64.2" in out  # mL of the pancreas


def test_an_error_ends_with_1_and_is_one_line(folder, pancascade):
    save(abdomen()[1][::-1], folder / "labelsTr/p0.nii.gz")
    code, out, err = pancascade("data", "check", folder, "--workers", 1)
    assert code == 1
    (line,) = [line for line in out.splitlines() if line.startswith("  flipped-label: p0:")]
    assert "left and right are exchanged" in line
    assert "1 error" in out
    assert "No errors and no warnings." not in out
    assert "Traceback" not in err


def test_warnings_end_with_1_only_if_strict(folder, pancascade):
    save(abdomen()[1], folder / "labelsTr/lonely.nii.gz")
    assert pancascade("data", "check", folder, "--workers", 1)[0] == 0
    code, out, _ = pancascade("data", "check", folder, "--workers", 1, "--strict")
    assert code == 1
    assert "loose-file" in out


def test_out_gets_tables_page_and_records(folder, pancascade, tmp_path):
    code, out, _ = pancascade("data", "check", folder, "--out", tmp_path / "out", "--workers", 1)
    assert code == 0
    assert "check.html" in out
    files = {path.name for path in (tmp_path / "out").iterdir()}
    assert files == {"check.html", "check.json", "cases.csv", "findings.csv", "records"}
    assert len(list((tmp_path / "out/records").iterdir())) == 2


def test_with_a_full_disk_no_table_is_left_alone(folder, pancascade, tmp_path, monkeypatch):
    def full(path, check):
        raise OutputError(f"{path.name}: cannot be written, the disk is full.")

    monkeypatch.setattr("pancascade.report.data_sets.check_page.write_data_check", full)
    code, _, err = pancascade("data", "check", folder, "--out", tmp_path / "out", "--workers", 1)
    assert (code, err) == (2, "Error: check.html: cannot be written, the disk is full.\n")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["records"]


def test_what_cannot_be_checked_ends_with_2_in_one_sentence(folder, pancascade, tmp_path):
    for arguments, said in (
        ((tmp_path / "nowhere",), "nowhere: no such folder"),
        ((tmp_path,), "no known layout. Give one of its data sets: Task07."),
        ((folder, "--layout", "dicom"), "--layout dicom: known are"),
        ((folder, "--picture-window", 9, 3), "--picture-window"),
    ):
        code, _, err = pancascade("data", "check", *arguments, "--workers", 1)
        assert code == 2
        assert said in err
        assert len(err.strip().splitlines()) == 1


def test_the_help_tells_the_exit_codes(pancascade):
    code, out, _ = pancascade("data", "check", "--help")
    assert code == 0
    assert "Exit code 0" in out
