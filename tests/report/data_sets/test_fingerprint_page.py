import csv
import json
import re
import sys
from pathlib import Path

# The phantom is drawn once, beside the tests of curation.
sys.path.insert(0, str(Path(__file__).parents[2] / "data"))

import numpy as np
import pytest
from fingerprint_cases import data_set, phantom, write_case, write_pictures

from pancascade.data.describing.fingerprint import Fingerprint, fingerprint
from pancascade.data.readers import slice_folder
from pancascade.imaging.preprocessing import Window
from pancascade.report.data_sets import fingerprint_figures as figures
from pancascade.report.data_sets.fingerprint_page import FILES, number, write_fingerprint


@pytest.fixture(scope="module")
def described(tmp_path_factory) -> tuple[Fingerprint, Path]:
    """The fingerprint of four cases, one of them bad and one without tumour, in two parts; and its files."""
    folder = tmp_path_factory.mktemp("described")
    for seed, name in enumerate("abcd"):
        write_case(folder, name, *phantom(seed, tumour=name != "c"))
    (folder / "d_ct.nii.gz").write_text("no scan")
    parts = {"train": frozenset("ab"), "test": frozenset("c")}
    found = fingerprint(data_set(folder, "abcd"), parts=parts)
    write_fingerprint(found, folder / "out", name="<set> & more")
    return found, folder / "out"


def test_all_files_are_written_and_say_the_same(described):
    found, out = described
    assert sorted(path.name for path in out.iterdir()) == sorted(FILES)
    assert Fingerprint.model_validate_json((out / "fingerprint.json").read_text()) == found
    rows = list(csv.DictReader((out / "cases.csv").read_text().splitlines()))
    assert [row["case"] for row in rows] == ["a_ct", "b_ct", "c_ct"]
    assert float(rows[0]["pancreas_ml"]) == pytest.approx(found.cases[0].pancreas_ml)
    assert float(rows[0]["contrast_hu"]) == pytest.approx(found.cases[0].contrast_hu, abs=1e-3)
    assert (rows[2]["tumour_ml"], rows[2]["contrast_hu"]) == ("", "")
    assert json.loads((out / "fingerprint.json").read_text())["groups"][0]["cases"] == 3


def test_the_page_loads_nothing_and_escapes_names(described):
    page = (described[1] / "fingerprint.html").read_text()
    assert "&lt;set&gt; &amp; more" in page
    assert "<set>" not in page
    assert not re.search(r"""(?:src|href)=["'](?!data:|#)""", page)
    assert "default-src 'none'" in page


def test_the_page_shows_numbers_parts_failures_and_suggestions(described):
    found, out = described
    page = (out / "fingerprint.html").read_text()
    assert "1 case without numbers" in page
    assert "d_ct.nii.gz" in page
    for words in (*(group.name for group in found.groups), "qiu2024_demo", "0.8 × 0.8 × 2.5 mm", "canvas.window"):
        assert words in page
    assert all(suggestion.text in page for group in found.groups for suggestion in group.suggestions)
    assert page.count("<img") == 4  # lesions, places, Hounsfield units, contrast; the rest does not differ
    assert "The same in all cases: pixel spacing, right to left 0.800 mm" in page


def test_a_page_of_a_single_case_and_one_of_pictures_have_what_they_can(tmp_path):
    write_case(tmp_path, "a", *phantom(tumour=False))
    write_fingerprint(fingerprint(data_set(tmp_path, "a")), tmp_path / "one", name="one")
    page = (tmp_path / "one" / "fingerprint.html").read_text()
    assert "1 case of 1 patient" in page
    assert "The one case: pixel spacing" in page
    assert "Lesions by" not in page
    write_pictures(tmp_path, np.full((32, 32), 90), np.eye(32, dtype=bool))
    pictures = fingerprint(slice_folder(tmp_path, window=Window()))
    write_fingerprint(pictures, tmp_path / "two", name="two")
    assert "The pictures have no spacing" in (tmp_path / "two" / "fingerprint.html").read_text()


def test_a_page_without_any_pancreas_is_written(tmp_path):
    hu, labels = phantom()
    write_case(tmp_path, "a", hu, np.zeros_like(labels))
    write_fingerprint(fingerprint(data_set(tmp_path, "a")), tmp_path / "out", name="none")
    assert "Crops of stage 2" not in (tmp_path / "out" / "fingerprint.html").read_text()


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, "–"), (float("nan"), "–"), (0, "0"), (-50.0, "−50"), (0.8123, "0.812"), (12.34, "12.3"), (1234.5, "1234")],
)
def test_numbers_have_three_digits_that_tell(value, text):
    assert number(value) == text


@pytest.mark.parametrize("values", [[0.7, 0.8, 0.8, 1.0], [1, 2, 5], [3.0, 3.1], list(range(200)), [-40, 12.5, 90]])
def test_bins_hold_every_value_once(values):
    edges = figures._bins(np.array(values, float))
    assert np.histogram(values, bins=edges)[0].sum() == len(values)
    assert np.diff(edges) == pytest.approx(np.diff(edges)[0])


def test_a_value_that_occurs_often_stands_in_the_middle_of_its_bar():
    edges = figures._bins(np.array([1.0, 2.0, 2.5, 3.0, 5.0] * 9))
    middles = (edges[1:] + edges[:-1]) / 2
    assert all(np.isclose(middles, value).any() for value in (1, 2, 2.5, 3, 5))


def test_every_axis_has_a_title():
    values = {"train": [1.0, 2.0, 4.0], "test": [3.0]}
    curve = figures.Curve(0, [0.2, 0.5, 0.3], "#000000")
    drawn = [
        figures.draw_spreads({"volume [mL]": values, "spacing [mm]": values}),
        figures.draw_hounsfield({"scan": curve, "tumour": curve}, window=(0, 2)),
        figures.draw_places([(40, 50, 60), (45, 52, 55)], frame="body"),
        figures.draw_places([(40, 50, float("nan"))], frame="image"),
        figures.draw_lesions(values, {"train": {"<1 cm": 3}, "test": {"<1 cm": 1}}),
        figures.draw_contrast([(80, 60), (70, 75)]),
    ]
    for figure in drawn:
        assert all(axes.get_xlabel() or axes.get_xticklabels() for axes in figure.axes)
        assert figure.axes[0].get_ylabel()
    assert len(drawn[3].axes) == 1
