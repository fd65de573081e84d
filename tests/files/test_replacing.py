"""Results replace results of the same kind alone."""

import pytest

from pancascade.errors import OutputError
from pancascade.files.atomic import DRAFT
from pancascade.files.replacing import require_replaceable

NAMES = ("cases.csv", "page.html", "results.json")


def require(folder, *read):
    require_replaceable(folder, NAMES, seals=NAMES[-1:], read=read)


def test_a_new_folder_one_of_other_files_and_a_former_result_may_be_written(tmp_path):
    require(tmp_path / "new", None, tmp_path / "gone.csv")
    (tmp_path / "other.csv").touch()
    require(tmp_path, tmp_path / "other.csv")
    for name in NAMES:
        (tmp_path / name).touch()
    require(tmp_path)


def test_what_is_read_is_never_replaced_by_whatever_path_it_is_given(tmp_path):
    for name in NAMES:
        (tmp_path / name).touch()
    (tmp_path / "link").symlink_to(tmp_path / "cases.csv")
    for read in ("cases.csv", "link"):
        with pytest.raises(OutputError, match=r"would replace cases\.csv, which is read"):
            require(tmp_path, None, tmp_path / read)


def test_files_of_somebody_else_are_not_replaced_but_those_that_a_killed_run_left_are(tmp_path):
    (tmp_path / "cases.csv").touch()
    with pytest.raises(OutputError, match=r"holds cases\.csv without a results\.json"):
        require(tmp_path)
    (tmp_path / f"{DRAFT}left").mkdir()
    (tmp_path / f"{DRAFT}left" / "results.json").touch()
    require(tmp_path)
