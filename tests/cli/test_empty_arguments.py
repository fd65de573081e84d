"""An empty option is a variable that was not set, never the working directory."""

import pytest

VERBS = {
    "segment": ("segment", "scan.nii.gz"),
    "threshold": ("threshold", "result", "--tumour", "0.5"),
    "view": ("view", "result"),
    "train": ("train", "qiu2024_demo"),
    "evaluate": ("evaluate", "predictions", "reference"),
    "compare": ("compare", "reference", "one", "two"),
    "attribute": ("attribute", "scans", "reference"),
    "calibrate": ("calibrate", "model", "scans", "reference"),
    "join": ("join", "first=a", "second=b"),
    "export": ("export", "model"),
    "cohort": ("cohort", "results"),
    "compare-dates": ("compare-dates", "one", "two"),
    "check": ("data", "check", "set"),
    "describe": ("data", "describe", "set"),
    "prepare": ("data", "prepare", "set"),
    "split": ("data", "split", "set"),
    "fetch": ("data", "fetch", "nih-pancreas-ct"),
}


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("empty", [("--out", ""), ("--out=",), ("--out", "  ")])
def test_an_empty_out_is_refused_and_nothing_is_written(pancascade, tmp_path, monkeypatch, verb, empty):
    monkeypatch.chdir(tmp_path)
    code, out, err = pancascade(*VERBS[verb], *empty)
    assert (code, out) == (2, "")
    assert err == "Error: --out is empty. Give it a value, or set the variable of your shell.\n"
    assert not list(tmp_path.iterdir())


def test_an_empty_argument_is_refused(pancascade, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, _, err = pancascade("segment", "", "--out", "result")
    assert (code, err.split(" Give")[0]) == (2, "Error: An argument is empty.")
    assert not list(tmp_path.iterdir())
