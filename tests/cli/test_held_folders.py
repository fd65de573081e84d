"""Verbs that write many files into one folder have it to themselves, and replace nothing of somebody else."""

import nibabel as nib
import numpy as np
import pytest

from pancascade.files.output_lock import lock_output


@pytest.mark.parametrize("verb", ["check", "describe"])
def test_a_folder_that_another_run_writes_to_is_refused(pancascade, tmp_path, verb):
    nib.save(nib.Nifti1Image(np.zeros((4, 4, 3), np.int16), np.eye(4)), tmp_path / "ct.nii.gz")
    (tmp_path / "list.csv").write_text("image,label,patient\nct.nii.gz,none,1\n")
    with lock_output(tmp_path / "out", what=f"pancascade data {verb}"):
        before = sorted(path.name for path in (tmp_path / "out").iterdir())
        code, _, err = pancascade("data", verb, tmp_path / "list.csv", "--out", tmp_path / "out", "--workers", 1)
        assert code == 2
        (line,) = err.strip().splitlines()
        assert line.startswith(f"Error: out: `pancascade data {verb}`, process ")
        assert len(line) <= 200
        assert sorted(path.name for path in (tmp_path / "out").iterdir()) == before


@pytest.mark.parametrize("verb", ["check", "describe"])
@pytest.mark.parametrize("table", ["cases.csv", "list.csv"])
def test_a_list_that_lies_in_the_folder_of_the_results_is_never_replaced(pancascade, tmp_path, verb, table):
    listed = "image,label,patient\nct.nii.gz,none,1\n"
    nib.save(nib.Nifti1Image(np.zeros((4, 4, 3), np.int16), np.eye(4)), tmp_path / "ct.nii.gz")
    for name in ("cases.csv", "list.csv"):
        (tmp_path / name).write_text(listed)
    code, _, err = pancascade("data", verb, tmp_path / table, "--out", tmp_path, "--workers", 1)
    assert code == 2
    said = "would replace cases.csv, which is read" if table == "cases.csv" else "holds cases.csv without a "
    assert said in err
    assert (tmp_path / "cases.csv").read_text() == listed
