"""The example scripts run, on tiny data."""

import runpy
import sys
from pathlib import Path

sys.path.extend(str(Path(__file__).parent / folder) for folder in ("inference", "imaging/io", "evaluation"))

import pytest
from abdomen_phantom import abdomen
from dicom_writing import ct_slices, picture, save_all
from mask_cases import AFFINE, label_map
from PIL import Image

from pancascade.imaging.io import write_volume
from pancascade.imaging.volume import Volume
from small_pictures import small_pictures

__all__ = ["small_pictures"]

EXAMPLES = Path(__file__).parents[1] / "examples"


def example(name: str) -> dict:
    return runpy.run_path(str(EXAMPLES / f"{name}.py"))


@pytest.fixture
def without_page(monkeypatch):
    """Pages have tests of their own."""
    monkeypatch.setattr(
        "pancascade.report.comparison.comparison_page.write_comparison", lambda path, *_, **__: path.write_text("page")
    )


def test_own_patients_become_reports_and_a_page_and_what_is_refused_is_told(tmp_path):
    write_volume(abdomen()[0], tmp_path / "studies" / "Mr_Jones.nii.gz")
    save_all(ct_slices(picture()), tmp_path / "studies" / "study")
    lines = example("own_patients")["segment_patients"](tmp_path / "studies", tmp_path / "out")
    assert len(lines) == 2
    (done,) = [line for line in lines if line.endswith("report.html")]
    assert " lesions" in done
    assert "pancreas " in done
    (refused,) = [line for line in lines if line != done]
    assert ": refused, " in refused
    assert "Jones" not in "".join(lines)
    assert (tmp_path / "out" / "cohort.html").is_file()


def test_a_folder_is_compared_with_nnunets_masks(without_page, tmp_path):
    for n, case in enumerate("abcdef"):
        for name, seed in (("reference", n), ("ours", n), ("nnunet", n + 50)):
            write_volume(Volume(label_map(seed), AFFINE), tmp_path / name / f"{case}.nii.gz")
    run = example("evaluate_folder")
    found = run["compare_folders"](*(tmp_path / name for name in ("reference", "ours", "nnunet", "out")))
    said = run["describe"](found)
    assert "ours, pancreas: Dice 1.0000" in said
    assert "p = " in said
    assert (tmp_path / "out" / "report.html").is_file()


def test_two_methods_are_trained_and_compared(without_page, tmp_path):
    found = example("train_and_compare")["train_and_compare"](tmp_path, epochs=1, patients=3)
    assert [evaluation.method for evaluation in found.evaluations] == ["unet", "cascade"]
    assert found.comparison is not None
    assert (tmp_path / "figure.png").stat().st_size > 1000


@pytest.mark.parametrize("name", ["own_patients", "evaluate_folder", "train_and_compare"])
def test_every_example_has_its_small_picture_in_the_readme(name):
    picture = EXAMPLES / "pictures" / f"{name}.png"
    assert picture.stat().st_size < 100_000
    with Image.open(picture) as opened:
        opened.verify()
    assert f"pictures/{name}.png" in (EXAMPLES / "README.md").read_text()
    assert f"{name}.py" in (EXAMPLES / "README.md").read_text()
