"""Bad input: one clear sentence, exit code 2, nothing half-written."""

import gzip
import json
import os
import re
import struct
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from abdomen_phantom import abdomen

from pancascade.imaging.io import write_volume
from pancascade.messages.names_only import DICOM_FOLDER

PIXDIM, QFORM_CODE = 76, 252
HEADER_DIM = 40


def saved(folder: Path, voxels: np.ndarray, *, affine: np.ndarray | None = None) -> Path:
    path = folder / "bad.nii.gz"
    nib.save(nib.Nifti1Image(voxels, abdomen()[0].affine if affine is None else affine), path)
    return path


def with_voxels(change):
    def make(folder: Path) -> Path:
        voxels = abdomen()[0].voxels.astype(np.float32)
        return saved(folder, change(voxels))

    return make


def set_one(value):
    def change(voxels):
        voxels[20, 20, 10] = value
        return voxels

    return change


def with_header(*changes: tuple[int, bytes]):
    def make(folder: Path) -> Path:
        content = bytearray(gzip.decompress(saved(folder, abdomen()[0].voxels).read_bytes()))
        for offset, value in changes:
            content[offset : offset + len(value)] = value
        path = folder / "bad.nii.gz"
        path.write_bytes(gzip.compress(bytes(content), compresslevel=1))
        return path

    return make


def of_spacing(value: float):
    """Only pixdim tells the spacing (no sform, no qform), and it is wrong along the third axis."""
    return with_header((PIXDIM + 12, struct.pack("<f", value)), (QFORM_CODE, struct.pack("<hh", 0, 0)))


def flat_affine(folder: Path) -> Path:
    """The sform's third column is 0."""
    content = bytearray(gzip.decompress(saved(folder, abdomen()[0].voxels).read_bytes()))
    for row in range(3):
        content[280 + 16 * row + 8 : 280 + 16 * row + 12] = struct.pack("<f", 0)
    path = folder / "bad.nii.gz"
    path.write_bytes(gzip.compress(bytes(content), compresslevel=1))
    return path


def truncated(folder: Path) -> Path:
    path = folder / "bad.nii.gz"
    write_volume(abdomen()[0], path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    return path


def text(name: str, content: str = "this is no image"):
    def make(folder: Path) -> Path:
        (folder / name).write_text(content)
        return folder / name

    return make


def folder_of_files(folder: Path) -> Path:
    (folder / "series").mkdir()
    return folder / "series"


def tiny(folder: Path) -> Path:
    return saved(folder, abdomen()[0].voxels[20:28, 20:28, 8:12])


BAD = {
    "no such file": (lambda folder: folder / "missing.nii.gz", "there is no such file"),
    "a folder": (folder_of_files, "There is no DICOM series here"),
    "an empty file": (text("bad.nii.gz", ""), "empty"),
    "no image": (text("bad.nii.gz"), "damaged|not a NIfTI"),
    "no image, unzipped": (text("bad.nii"), "not a NIfTI"),
    "another kind of file": (text("picture.jpg"), "unknown kind of file"),
    "truncated gzip": (truncated, "ends too early"),
    "2-D": (lambda folder: saved(folder, abdomen()[0].voxels[:, :, 9]), "three axes"),
    "4-D": (lambda folder: saved(folder, np.stack([abdomen()[0].voxels] * 2, -1)), "several scans"),
    "spacing 0": (of_spacing(0), "spacing is 0"),
    "spacing NaN": (of_spacing(float("nan")), "spacing is nan"),
    "affine flat": (flat_affine, "spacing is 0 along axis 2"),
    "spacing in metres": (
        lambda folder: saved(folder, abdomen()[0].voxels, affine=np.diag([0.005, 0.005, 0.006, 1])),
        "voxel spacing",
    ),
    "a NaN voxel": (with_voxels(set_one(np.nan)), "1 of .* voxels are NaN or infinite"),
    "an infinite voxel": (with_voxels(set_one(np.inf)), "1 of .* voxels are NaN or infinite"),
    "constant": (with_voxels(lambda voxels: np.full_like(voxels, -1000)), "all voxels are -1000"),
    "no air": (with_voxels(lambda voxels: np.maximum(voxels, 0)), "not HU|looks like MR"),
    "grey values": (with_voxels(lambda voxels: np.clip(voxels / 4, 0, 255)), "grey values or labels"),
    "no intercept": (with_voxels(lambda voxels: voxels + 1024), "rescale intercept is missing"),
    "normalised": (with_voxels(lambda voxels: voxels / 1000), "normalised"),
    "tiny": (tiny, "only 8 voxels"),
    "huge": (with_header((HEADER_DIM, struct.pack("<hhhh", 3, 32000, 32000, 3000))), "more than|too many"),
}


def require_one_sentence(code: int, out: str, err: str) -> str:
    assert code == 2
    assert err.startswith("Error: ")
    assert err.count("\n") == 1, err
    assert err.endswith(".\n")
    assert "Traceback" not in out + err
    assert out.strip() == ""
    return err


@pytest.mark.parametrize(("make", "says"), BAD.values(), ids=BAD.keys())
def test_a_bad_scan_is_one_sentence_and_leaves_that_with_a_code(pancascade, knows_the_phantom, tmp_path, make, says):
    path, out = make(tmp_path), tmp_path / "out"
    err = require_one_sentence(*pancascade("segment", path, "--out", out))
    assert (DICOM_FOLDER if path.is_dir() else path.name) in err
    assert str(tmp_path) not in err
    assert re.search(says, err), err
    assert [left.name for left in out.iterdir()] == ["refusal.json"]
    refusal = json.loads((out / "refusal.json").read_text())
    assert err == f"Error: {refusal['sentence']}\n"
    assert re.fullmatch("[a-z0-9_]+", refusal["code"])
    assert refusal["scan"] == (DICOM_FOLDER if path.is_dir() else path.name)


def test_a_bad_scan_leaves_former_results_as_they_were(pancascade, knows_the_phantom, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    (out / "result.json").write_text("former")
    require_one_sentence(*pancascade("segment", truncated(tmp_path), "--out", out))
    assert {path.name for path in out.iterdir()} == {"refusal.json", "result.json"}
    assert (out / "result.json").read_text() == "former"


@pytest.mark.parametrize("model", ["qiu2042", "no/such.safetensors"])
def test_an_unknown_model(pancascade, scan, tmp_path, model):
    err = require_one_sentence(*pancascade("segment", scan, "--out", tmp_path / "out", "--model", model))
    assert f"{model}: no such model; shipped: " in err
    assert not (tmp_path / "out").exists() or list((tmp_path / "out").iterdir()) == []


def test_a_checkpoint_that_is_none(pancascade, scan, tmp_path):
    (tmp_path / "x.safetensors").write_bytes(b"nothing")
    err = require_one_sentence(
        *pancascade("segment", scan, "--out", tmp_path / "out", "--model", tmp_path / "x.safetensors")
    )
    assert "not a readable pancascade checkpoint" in err


@pytest.mark.parametrize("device", ["banana", "cuda:77"])
def test_a_device_that_is_not_there(pancascade, knows_the_phantom, scan, tmp_path, device):
    err = require_one_sentence(*pancascade("segment", scan, "--out", tmp_path / "out", "--device", device))
    assert device in err
    assert "cpu" in err


@pytest.mark.parametrize("below", ["", "deeper/still"])
def test_an_out_folder_that_is_a_file(pancascade, scan, tmp_path, below):
    (tmp_path / "out").write_text("mine")
    err = require_one_sentence(*pancascade("segment", scan, "--out", tmp_path / "out" / below))
    assert "cannot be written" in err
    assert (tmp_path / "out").read_text() == "mine"


def test_an_out_folder_without_permission(pancascade, scan, tmp_path, monkeypatch):
    """Root may write everywhere, so the refusal is made up."""

    def refuse(*_, **__):
        raise PermissionError(13, "Permission denied")

    if os.geteuid() == 0:
        monkeypatch.setattr("pancascade.files.output_lock._make", refuse)
    out = tmp_path / "out"
    out.mkdir(mode=0o500)
    err = require_one_sentence(*pancascade("segment", scan, "--out", out))
    assert "out: cannot be written (Permission denied)" in err
    assert list(out.iterdir()) == []


def test_a_disk_that_fills_up_leaves_nothing(pancascade, knows_the_phantom, scan, tmp_path, monkeypatch):
    from matplotlib.figure import Figure

    def half(self, path, **_):
        path.write_bytes(b"\x89PNG")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Figure, "savefig", half)
    err = require_one_sentence(*pancascade("segment", scan, "--out", tmp_path / "out"))
    assert "the disk is full" in err
    assert not (tmp_path / "out").exists()
