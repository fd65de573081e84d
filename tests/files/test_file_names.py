"""Names of files and cases as people and programmes spell them."""

import unicodedata
from pathlib import Path

import pytest

from pancascade.errors import DataError
from pancascade.files.file_names import case_key, case_name, find_path, is_file, match_names, text_name, there

COMPOSED, APART = (unicodedata.normalize(form, "Müller") for form in ("NFC", "NFD"))


@pytest.mark.parametrize(
    "name",
    ["Case_1", "case_1.nii.gz", "CASE_1.NII.GZ", "case_1_0000.nii.gz", "case_1.seg.nrrd", "Case_1-label.nrrd"],
)
def test_a_case_has_one_key_however_tools_spell_its_file(name):
    assert case_key(name) == "case_1"


@pytest.mark.parametrize("name", ["case_1_0001.nii.gz", "case_10.nii.gz", "case_1_.nii.gz"])
def test_other_cases_and_channels_have_other_keys(name):
    assert case_key(name) != "case_1"


def test_a_case_is_called_after_its_file_without_the_slicer_s_seg():
    assert case_name(Path("x") / "p1.seg.nrrd") == case_name(Path("p1.nii.gz")) == "p1"
    assert case_name(Path(f"{APART}.nii")) == COMPOSED


def test_names_are_matched_exactly_first_and_else_where_nothing_is_left_to_choose():
    found = {"a": 1, "A": 2, "B_0000": 3, "c": 4, "C": 5, COMPOSED.upper(): 6}
    assert match_names(["a", "b", "C_0000", APART.lower()], found) == {"a": 1, "b": 3, APART.lower(): 6}


def test_two_wanted_names_of_one_spelling_match_nothing_by_likeness():
    assert match_names(["x", "X"], {"x_0000": 1}) == {}


def test_a_path_is_found_under_another_spelling_of_the_disk(tmp_path):
    (tmp_path / "Scans").mkdir()
    (tmp_path / "Scans" / f"{APART}.nii.gz").touch()
    for text in (f"scans/{COMPOSED}.nii.gz", f"scans\\{COMPOSED}.NII.gz", f"Scans/{APART}.nii.gz"):
        assert is_file(find_path(tmp_path, text))
    absolute = find_path(Path("/elsewhere"), str(tmp_path / "scans" / f"{COMPOSED}.nii.gz"))
    assert absolute.samefile(tmp_path / "Scans" / f"{APART}.nii.gz")


def test_a_path_of_which_two_are_alike_or_none_stays_as_written(tmp_path):
    for name in ("A.nii", "a.NII"):
        (tmp_path / name).touch()
    if len(list(tmp_path.iterdir())) == 2:  # the disk tells capitals apart
        assert find_path(tmp_path, "a.nii") == tmp_path / "a.nii"
    assert find_path(tmp_path, "b.nii") == tmp_path / "b.nii"


@pytest.mark.parametrize("text", ["x" * 4000, "a\0b", "d/" * 3000])
def test_an_impossible_path_is_not_there(tmp_path, text):
    assert not is_file(tmp_path / text)
    assert not there(find_path(tmp_path, text))


@pytest.mark.parametrize("name", ["caf\udce9", "\udcff"])
def test_names_that_are_not_utf_8_are_refused_in_a_sentence_that_can_be_printed(name):
    with pytest.raises(DataError, match=r"\?: this name is not UTF-8 text") as refused:
        text_name(name)
    str(refused.value).encode()


def test_names_of_cases_are_composed():
    assert text_name(APART) == COMPOSED
