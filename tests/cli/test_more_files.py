"""Masks of single structures, their table, no report; masks of a batch in one folder."""

import csv
import shutil

import nibabel
import numpy as np
import pytest

NAMES = ("pancreas", "tumour", "pancreas_with_tumour")


def _names(folder):
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def _voxels(path):
    return np.asarray(nibabel.load(path).dataobj)


def test_segment_writes_structures_and_statistics_and_a_later_run_removes_them(
    pancascade, knows_the_phantom, scan, tmp_path
):
    out = tmp_path / "out"
    code, said, _ = pancascade("segment", scan, "-o", out, "--no-report", "--split-masks", "--statistics")
    assert code == 0
    masks = {f"structures/{name}.nii.gz" for name in NAMES}
    assert _names(out) == {"segmentation.nii.gz", "result.json", "statistics.csv", *masks}
    assert ("Structures: " in said, "Statistics: " in said, "Report: " in said) == (True, True, False)
    labels = _voxels(out / "segmentation.nii.gz")
    parts = [_voxels(out / f"structures/{name}.nii.gz") for name in NAMES]
    for part, wanted in zip(parts, (labels == 1, labels == 2, labels > 0), strict=True):
        assert (part == wanted).all()
    rows = list(csv.DictReader((out / "statistics.csv").read_text().splitlines()))
    assert [row["structure"] for row in rows] == list(NAMES)
    organ, hu = rows[2], _voxels(scan)[labels > 0]
    assert int(organ["voxels"]) == hu.size > 0
    assert float(organ["mean_hu"]) == pytest.approx(hu.mean(), abs=0.06)
    heights = np.flatnonzero((labels > 0).any(axis=(0, 1)))
    assert (int(organ["first_slice"]), int(organ["last_slice"])) == (heights[0] + 1, heights[-1] + 1)

    edited = out / "structures/tumour.nii.gz"
    edited.write_bytes(b"mine")
    code, _, err = pancascade("segment", scan, "-o", out, "-q")
    assert (code, "structures/tumour.nii.gz was edited" in err, edited.read_bytes()) == (2, True, b"mine")
    edited.unlink()
    assert pancascade("segment", scan, "-o", out, "-q") == (0, "", "")
    assert _names(out) == {"segmentation.nii.gz", "result.json", "overview.png", "report.html"}
    assert not (out / "structures").exists()


def test_a_batch_copies_its_masks_to_one_flat_folder(pancascade, knows_the_phantom, scan, tmp_path):
    out, flat = tmp_path / "out", tmp_path / "flat"
    arguments = ("batch", scan, "-o", out, "--names", "file", "--workers", "1", "--no-report", "--flat", flat)
    code, _, err = pancascade(*arguments)
    assert (code, err) == (0, "")
    (copied,) = flat.iterdir()
    (folder,) = (path for path in out.iterdir() if path.is_dir())
    assert copied.name == f"{folder.name}.nii.gz"
    assert copied.read_bytes() == (folder / "segmentation.nii.gz").read_bytes()
    assert not (folder / "report.html").exists()
    copied.unlink()
    assert pancascade(*arguments, "--resume")[0] == 0
    assert copied.exists()


@pytest.mark.parametrize(("flat", "more"), [("out", ()), ("out/a", ()), ("flat", ("--format", "dicom-seg"))])
def test_a_flat_folder_that_cannot_be_is_refused_before_the_work(pancascade, scan, tmp_path, flat, more):
    code, _, err = pancascade("batch", scan, "-o", tmp_path / "out", "--flat", tmp_path / flat, *more)
    assert code == 2
    assert "--flat" in err or "highdicom" in err
    assert not (tmp_path / "out").exists() and not (tmp_path / "flat").exists()


@pytest.mark.parametrize("read", ["scan", "mask"])
def test_a_flat_folder_in_which_a_mask_may_replace_what_is_read_is_refused(pancascade, scan, tmp_path, read):
    mine = tmp_path / "mine"
    mine.mkdir()
    shutil.copy(scan, mine / "ct.nii.gz")
    content = (mine / "ct.nii.gz").read_bytes()
    (tmp_path / "list.csv").write_text(f"image,case,pancreas\n{scan},ct,{mine / 'ct.nii.gz'}\n")
    given = mine if read == "scan" else tmp_path / "list.csv"
    arguments = ("batch", given, "-o", tmp_path / "out", "--names", "file", "--flat", mine)
    code, _, err = pancascade(*arguments)
    assert (code, "holds scans or masks that are read" in err) == (2, True)
    assert (mine / "ct.nii.gz").read_bytes() == content
    assert not (tmp_path / "out").exists()
