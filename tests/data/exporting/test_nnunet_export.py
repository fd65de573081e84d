"""A data set in nnU-Net's raw layout, and what nnU-Net predicted on it read back."""

import json

import nibabel as nib
import numpy as np
import pytest
from typer.testing import CliRunner

from pancascade.cli.app import app
from pancascade.data.readers import Layout, read_data_set
from pancascade.imaging.io import read_volume, write_volume
from pancascade.imaging.volume import Volume
from pancascade.labels import Label

AFFINE = np.array([[0, 1.5, 0, -20], [-1.0, 0, 0, 30], [0, 0, -3.0, 40], [0, 0, 0, 1]])


@pytest.fixture
def project(tmp_path):
    """Five scans with pancreas and tumour, their list, a split of parts and one of folds."""
    random = np.random.default_rng(0)
    rows = ["image,label,patient,first_slice,last_slice"]
    for number in range(5):
        hu = random.integers(-900, 900, (14, 12, 6)).astype(np.int16)
        labels = np.zeros(hu.shape, np.uint8)
        labels[3 : 8 + number, 3:9, 1:5] = Label.PANCREAS
        labels[4:6, 4:6, 2:4] = Label.TUMOUR
        write_volume(Volume(hu, AFFINE), tmp_path / f"scan{number}.nii.gz")
        write_volume(Volume(labels, AFFINE), tmp_path / f"scan{number}_label.nii.gz")
        rows.append(f"scan{number}.nii.gz,scan{number}_label.nii.gz,p{number},,")
    (tmp_path / "scans.csv").write_text("\n".join(rows) + "\n")
    parts = {"train": ["p0", "p1"], "validation": ["p2"], "test": ["p3"]}
    (tmp_path / "parts.json").write_text(json.dumps(parts))
    (tmp_path / "folds.json").write_text(json.dumps({"folds": [["p0", "p1"], ["p2"], ["p3", "p4"]]}))
    return tmp_path


def export(project, *more, split="parts.json"):
    arguments = ["data", "export-nnunet", str(project / "scans.csv"), "--split", str(project / split)]
    arguments += ["--out", str(project / "raw"), "--workers", "1", *more]
    return CliRunner().invoke(app, arguments)


def test_images_labels_and_split_are_where_nnu_net_looks_for_them(project):
    done = export(project)
    assert done.exit_code == 0, done.output
    folder = project / "raw" / "Dataset701_Pancreas"
    assert sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.*") if path.is_file()) == [
        "dataset.json",
        *(f"imagesTr/scan{n}_0000.nii.gz" for n in range(3)),
        "imagesTs/scan3_0000.nii.gz",
        *(f"labelsTr/scan{n}.nii.gz" for n in range(3)),
        "labelsTs/scan3.nii.gz",
        "splits_final.json",
    ]
    assert json.loads((folder / "dataset.json").read_text()) == {
        "channel_names": {"0": "CT"},
        "labels": {"background": 0, "pancreas": 1, "tumour": 2},
        "numTraining": 3,
        "file_ending": ".nii.gz",
    }
    splits = json.loads((folder / "splits_final.json").read_text())
    assert splits == [{"train": ["scan0", "scan1"], "val": ["scan2"]}]
    for kind, name in (("images", "scan3_0000"), ("labels", "scan3")):
        written = nib.load(folder / f"{kind}Ts" / f"{name}.nii.gz")
        given = nib.load(project / ("scan3.nii.gz" if kind == "images" else "scan3_label.nii.gz"))
        assert np.array_equal(np.asarray(written.dataobj), np.asarray(given.dataobj))
        np.testing.assert_allclose(written.affine, given.affine)


def test_what_was_exported_is_a_data_set_of_ours(project):
    export(project)
    cases = read_data_set(project / "raw" / "Dataset701_Pancreas", layout=Layout.NNUNET_RAW)
    assert [case.name for case in cases] == ["scan0", "scan1", "scan2"]
    _, labels = cases[1].scan.read_ct()
    assert np.array_equal(labels.voxels, read_volume(project / "scan1_label.nii.gz").voxels)


def test_folds_become_folds_and_nothing_is_left_for_a_test(project):
    assert export(project, "--target", "pancreas", "--id", "7", "--name", "NIH", split="folds.json").exit_code == 0
    folder = project / "raw" / "Dataset007_NIH"
    splits = json.loads((folder / "splits_final.json").read_text())
    assert [fold["val"] for fold in splits] == [["scan0", "scan1"], ["scan2"], ["scan3", "scan4"]]
    assert all(sorted(fold["train"] + fold["val"]) == [f"scan{n}" for n in range(5)] for fold in splits)
    assert not (folder / "imagesTs").exists()
    label = np.asarray(nib.load(folder / "labelsTr" / "scan0.nii.gz").dataobj)
    assert set(np.unique(label)) == {0, 1}
    assert json.loads((folder / "dataset.json").read_text())["labels"] == {"background": 0, "pancreas": 1}


def test_masks_that_nnu_net_predicted_are_compared_with_the_test_labels(project):
    export(project)
    true = project / "raw" / "Dataset701_Pancreas" / "labelsTs"
    (project / "predicted").mkdir()
    label = read_volume(true / "scan3.nii.gz")
    write_volume(label.with_voxels(np.roll(label.voxels, 1, axis=0)), project / "predicted" / "scan3.nii.gz")
    # nnU-Net puts these beside its masks.
    for name in ("dataset.json", "plans.json", "predict_from_raw_data_args.json"):
        (project / "predicted" / name).write_text("{}")
    arguments = ["evaluate", str(project / "predicted"), str(true), "--out", str(project / "scores")]
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 0, done.output
    assert "scan3" in (project / "scores" / "cases.csv").read_text()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (export, "holds a data set already"),
        (lambda project: (project / "scan2.nii.gz").unlink(), "scan2.nii.gz: a file is missing"),
        (
            lambda project: (project / "parts.json").write_text('{"train": ["p0"], "validation": [], "test": ["px"]}'),
            "nobody to train on or to validate",
        ),
        (lambda project: (project / "scan1_label.nii.gz").write_bytes(b"no image"), "scan1"),
    ],
    ids=["twice", "missing", "no validation", "damaged"],
)
def test_what_cannot_be_exported_is_refused_in_one_sentence(project, change, words):
    change(project)
    done = export(project)
    assert done.exit_code in (1, 2)
    assert words in str(done.exception) + done.output
    if words != "holds a data set already":
        assert not (project / "raw" / "Dataset701_Pancreas" / "dataset.json").exists()


def test_a_name_that_nnu_net_does_not_take_is_refused(project):
    done = export(project, "--name", "my pancreas")
    assert "letters and digits" in str(done.exception) + done.output
