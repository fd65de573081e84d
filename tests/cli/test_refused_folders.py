"""A run that is refused makes no folder for results that never come."""

import pytest

from pancascade.cli.out_folder import require_unedited
from pancascade.errors import OutputError

NONE = "none.nii.gz"
RUNS = {
    "attribute": ["attribute", NONE, NONE, "--out", "a/out"],
    "calibrate": ["calibrate", "qiu2024-small", NONE, NONE, "--out", "a/out/model.json"],
    "cohort": ["cohort", "empty", "--out", "a/out/page.html"],
    "compare": ["compare", NONE, NONE, NONE, "--out", "a/out"],
    "compare-dates": ["compare-dates", "empty", "empty", "--out", "a/out/page.html"],
    "data check": ["data", "check", "empty", "--out", "a/out"],
    "data describe": ["data", "describe", "gone.csv", "--out", "a/out", "--workers", "1"],
    "data fetch": ["data", "fetch", "nothing", "--out", "a/out"],
    "data prepare": ["data", "prepare", "gone.csv", "--out", "a/out", "--workers", "1"],
    "data split": ["data", "split", "gone.csv", "--design", "five-fold", "--out", "a/out/split.json"],
    "evaluate": ["evaluate", NONE, NONE, "--out", "a/out"],
    "export": ["export", "none.safetensors", "--out", "a/out"],
    "join": ["join", "first=none.safetensors", "second=other.safetensors", "--out", "a/out/joined.safetensors"],
    "threshold": ["threshold", "empty", "--tumour", "0.5", "--out", "a/out"],
    "view": ["view", "empty", "--out", "a/out/page.html"],
    "train": ["train", "gone.yaml", "--data", "empty", "--out", "a/out"],
    "train, no data": ["train", "qiu2024_demo", "--data", "empty", "--out", "a/out"],
}


@pytest.mark.parametrize("arguments", RUNS.values(), ids=RUNS.keys())
def test_a_refused_run_leaves_no_folder(pancascade, tmp_path, monkeypatch, arguments):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    (tmp_path / "gone.csv").write_text("image,label,patient\ngone.nii.gz,none,1\n")
    code, _, err = pancascade(*arguments)
    assert code in (1, 2), err
    assert err.startswith("Error: ") or code == 1
    assert len(err.strip()) <= 200
    assert not (tmp_path / "a").exists()


def test_a_folder_with_a_reader_s_corrections_is_not_written_over(tmp_path):
    (tmp_path / "out" / "corrections").mkdir(parents=True)
    require_unedited(tmp_path / "out", [])
    (tmp_path / "out" / "corrections" / "001.nii.gz").touch()
    with pytest.raises(OutputError, match="out: holds saved corrections"):
        require_unedited(tmp_path / "out", [])
