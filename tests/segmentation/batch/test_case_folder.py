import pytest

from pancascade.errors import OutputError
from pancascade.segmentation.batch.case_folder import clear_drafts, written_case


def test_a_case_appears_whole_or_not_at_all(tmp_path):
    with pytest.raises(ZeroDivisionError), written_case(tmp_path, "a") as folder:
        (folder / "mask").touch()
        raise ZeroDivisionError
    assert list(tmp_path.iterdir()) == []
    with written_case(tmp_path, "a") as folder:
        (folder / "mask").touch()
        assert not (tmp_path / "a").exists()
    assert [path.name for path in tmp_path.rglob("*")] == ["a", "mask"]


def test_a_new_case_replaces_all_of_the_former_one(tmp_path):
    for name in ("refusal.json", "result.json"):
        with written_case(tmp_path, "a") as folder:
            (folder / name).write_text("{}")
    assert [path.name for path in tmp_path.rglob("*")] == ["a", "result.json"]


def test_what_killed_runs_left_is_cleared(tmp_path):
    (tmp_path / ".pancascade-draft-1234").mkdir()
    (tmp_path / ".pancascade-draft-1234" / "mask").touch()
    clear_drafts(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_written_is_said(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="a: cannot be written"), written_case(tmp_path / "file", "a"):
        pass


def test_a_reader_s_corrections_are_not_replaced(tmp_path):
    (tmp_path / "a" / "corrections").mkdir(parents=True)
    (tmp_path / "a" / "corrections" / "001.nii.gz").touch()
    with pytest.raises(OutputError, match="a: holds saved corrections"), written_case(tmp_path, "a"):
        pass
    assert [path.name for path in tmp_path.rglob("*")] == ["a", "corrections", "001.nii.gz"]
