"""Options of earlier versions go on working, and are shown nowhere."""

import pytest

from pancascade.cli.earlier_spellings import EARLIER, in_todays_spelling


@pytest.mark.parametrize("verb", EARLIER)
def test_an_option_of_an_earlier_version_is_todays(verb):
    (earlier, today), *_ = EARLIER[verb].items()
    assert in_todays_spelling([verb, "scan.nii.gz", earlier, "torch"]) == [verb, "scan.nii.gz", today, "torch"]
    assert in_todays_spelling([verb, f"{earlier}=torch"]) == [verb, f"{today}=torch"]


def test_the_engine_of_work_on_many_cases_keeps_its_name():
    assert in_todays_spelling(["batch", "scans", "--engine", "ray"]) == ["batch", "scans", "--engine", "ray"]


@pytest.mark.parametrize("option", ["--backend", "--engine"])
def test_both_spellings_choose_what_runs_the_networks(pancascade, knows_the_phantom, tmp_path, option):
    code, _, err = pancascade("segment", tmp_path / "no.nii.gz", "--out", tmp_path / "out", option, "torch")
    assert (code, "no.nii.gz" in err) == (2, True)
    code, _, err = pancascade("segment", tmp_path / "no.nii.gz", "--out", tmp_path / "out", option, "abacus")
    assert (code, "--backend" in err) == (2, True)


def test_help_shows_todays_name_alone(pancascade):
    _, out, _ = pancascade("segment", "--help")
    assert "--backend" in out
    assert "--engine" not in out
