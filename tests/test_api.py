"""The verbs as functions."""

import sys
from pathlib import Path

sys.path.extend(str(Path(__file__).parent / folder) for folder in ("evaluation", "inference"))

import nibabel as nib
import numpy as np
import pytest
from abdomen_phantom import HounsfieldCascade, abdomen, described
from mask_cases import AFFINE, label_map

import pancascade
from pancascade.errors import DataError, GeometryError
from pancascade.imaging.io import write_volume
from pancascade.imaging.volume import Volume


@pytest.fixture
def folders(tmp_path) -> Path:
    for n, case in enumerate("abc"):
        for name, seed in (("reference", n), ("near", n), ("far", n + 100)):
            write_volume(Volume(label_map(seed), AFFINE), tmp_path / name / f"{case}.nii.gz")
    return tmp_path


@pytest.fixture
def without_report(monkeypatch) -> None:
    monkeypatch.setattr(
        "pancascade.report.comparison.comparison_page.write_comparison",
        lambda path, *_, **__: path.write_text("report"),
    )


def test_evaluate_gives_numbers_that_show_themselves_and_writes_nothing(folders):
    before = sorted(folders.rglob("*"))
    found = pancascade.evaluate(folders / "near", folders / "reference")
    assert found.summaries[0]["pancreas"][found.protocol.headline]["dice"].mean == 1
    assert repr(found).splitlines()[0].startswith("near, pancreas: ")
    assert "1.0000" in repr(found)
    assert found.failures == []
    assert sorted(folders.rglob("*")) == before


def test_evaluate_takes_a_protocol_by_name_and_writes_what_the_verb_writes(folders, without_report):
    found = pancascade.evaluate(
        str(folders / "far"), str(folders / "reference"), out=folders / "out", protocol="nnunet"
    )
    assert found.protocol.name == "nnunet"
    assert {"report.html", "results.json", "cases.csv"} <= {path.name for path in (folders / "out").iterdir()}


def test_compare_ranks_methods_by_name_or_by_folder(folders):
    named = pancascade.compare(folders / "reference", {"good": folders / "near", "bad": folders / "far"})
    plain = pancascade.compare(folders / "reference", [folders / "near", folders / "far"])
    assert named.comparison is not None
    ranks = {rank.name: rank.rank for rank in named.comparison.metrics[0].ranks}
    assert ranks["good"] < ranks["bad"]
    assert [evaluation.method for evaluation in plain.evaluations] == ["near", "far"]


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"wrong_key": 1}, r"^Protocol: wrong_key: no such key\.$"),
        ({"seed": "x"}, r"^Protocol: seed: should be a valid integer.* \(got 'x'\)\.$"),
        ({"lesions": {"hit": "x"}}, r"^Protocol: lesions\.hit: should be 'iou' or 'centre' \(got 'x'\)\.$"),
        ({"metrics": ["x" * 300]}, r"^Protocol: unknown metric x+"),
    ],
)
def test_a_wrong_setting_of_a_protocol_is_one_sentence(settings, says):
    with pytest.raises(pancascade.PancascadeError, match=says) as refused:
        pancascade.Protocol(**settings)
    assert len(str(refused.value)) <= 200


def test_compare_of_one_method_is_refused(folders):
    with pytest.raises(DataError, match="at least two methods"):
        pancascade.compare(folders / "reference", {"only": folders / "near"})


@pytest.fixture
def phantom(monkeypatch):
    monkeypatch.setattr("pancascade.inference.runners.loading.has_graphs", lambda _: False)
    monkeypatch.setattr(
        "pancascade.inference.runners.torch_runners.load_checkpoint",
        lambda path: (HounsfieldCascade(organ_hu=95), described()),
    )
    return abdomen()[0]


def test_segment_takes_arrays_and_images_and_finds_the_same(phantom, tmp_path):
    masks = [
        pancascade.segment(phantom),
        pancascade.segment(phantom.voxels, affine=phantom.affine),
        pancascade.segment(nib.Nifti1Image(phantom.voxels, phantom.affine)),
    ]
    for found in masks[1:]:
        assert (found.mask.voxels == masks[0].mask.voxels).all()
        assert found.mask.affine == pytest.approx(phantom.affine)
    shown = repr(masks[0])
    assert shown.startswith("<Segmentation by qiu2024-small of Volume(")
    assert f"pancreas {np.count_nonzero(masks[0].mask.voxels == 1) * phantom.voxel_volume_ml:.1f} mL" in shown


def test_what_is_of_arrays_is_refused_for_a_file(phantom, tmp_path):
    with pytest.raises(GeometryError, match="for NumPy arrays"):
        pancascade.segment(tmp_path / "scan.nii.gz", spacing_mm=(1, 1, 1))
