import csv
import json
from pathlib import Path

import pytest

from pancascade.data.readers import Case
from pancascade.data.splits.splits import PARTS, cases_of, draw_split, read_split
from pancascade.errors import DataError
from pancascade.training.recipe import recipes_folder

SHARED = Path(__file__).parents[4] / "shared" / "data"
SIZES = {"nih_slices": (36, 5, 10), "pdac_roi": (45, 6, 12)}


@pytest.mark.parametrize("name", SIZES)
def test_the_shipped_splits_are_disjoint_and_leave_the_whole_volume_patient_out(name):
    split = read_split(recipes_folder() / "splits" / f"{name}.json")
    assert tuple(len(split[part]) for part in PARTS) == SIZES[name]
    assert len(split["train"] | split["validation"] | split["test"]) == sum(SIZES[name])
    assert "0001" not in split["train"] | split["validation"] | split["test"]


@pytest.mark.shared
@pytest.mark.parametrize(("name", "column"), [("nih_slices", "patient"), ("pdac_roi", "case")])
def test_the_shipped_splits_cover_the_real_patients(name, column):
    index = SHARED / name / "index.csv"
    if not index.is_file():
        pytest.skip("needs ../shared/data")
    with index.open(newline="") as lines:
        patients = {row[column].split("_")[0] for row in csv.DictReader(lines)}
    split = read_split(recipes_folder() / "splits" / f"{name}.json")
    assert split["train"] | split["validation"] | split["test"] == patients


def test_a_patient_in_two_parts_is_refused(tmp_path):
    path = tmp_path / "split.json"
    path.write_text(json.dumps({"train": ["a", "b"], "validation": ["c"], "test": ["b"]}))
    with pytest.raises(DataError, match="b in both train and test"):
        read_split(path)


@pytest.mark.parametrize(("one", "other"), [("train", "validation"), ("train", "test"), ("validation", "test")])
def test_every_pair_of_parts_is_checked_for_shared_patients(tmp_path, one, other):
    path = tmp_path / "split.json"
    path.write_text(json.dumps({part: [part, *(["x"] if part in {one, other} else [])] for part in PARTS}))
    with pytest.raises(DataError, match=f"x in both {one} and {other}"):
        read_split(path)


def test_a_missing_split_is_refused_by_its_name(tmp_path):
    with pytest.raises(DataError, match=r"nowhere\.json"):
        read_split(tmp_path / "nowhere.json")


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"train": 3}', '{"train": ["a"], "test": ["b"]}'])
def test_what_is_no_split_is_refused(tmp_path, text):
    path = tmp_path / "split.json"
    path.write_text(text)
    with pytest.raises(DataError, match=r"split\.json: not a split file"):
        read_split(path)


def test_a_drawn_split_is_the_same_for_the_same_seed_whatever_the_order(tmp_path):
    patients = [f"p{i}" for i in range(20)]
    one = draw_split(patients, seed=1, path=tmp_path / "a.json")
    same = draw_split(reversed(patients * 2), seed=1, path=tmp_path / "b.json")
    other = draw_split(patients, seed=2, path=tmp_path / "c.json")
    assert one == same != other
    assert tuple(len(one[part]) for part in PARTS) == (14, 2, 4)
    assert read_split(tmp_path / "a.json") == one


@pytest.mark.parametrize(
    ("count", "sizes"), [(3, (1, 1, 1)), (10, (7, 1, 2)), (51, (36, 5, 10)), (63, (44, 6, 13)), (100, (70, 10, 20))]
)
def test_a_drawn_split_gives_seventy_ten_and_twenty_percent_and_loses_nobody(tmp_path, count, sizes):
    patients = {f"p{i}" for i in range(count)}
    split = draw_split(patients, seed=0, path=tmp_path / "a.json")
    assert tuple(len(split[part]) for part in PARTS) == sizes
    assert split["train"] | split["validation"] | split["test"] == patients


def test_two_patients_cannot_be_split(tmp_path):
    with pytest.raises(DataError, match="2 patients"):
        draw_split(["a", "b"], seed=0, path=tmp_path / "a.json")


def test_a_split_of_another_data_set_is_noticed():
    cases = [Case("a", "p1", "set", list)]
    assert cases_of(cases, frozenset({"p1"})) == cases
    three = [Case(name, patient, "set", list) for name, patient in (("c", "p2"), ("a", "p1"), ("b", "p2"))]
    assert [case.name for case in cases_of(three, frozenset({"p2", "p7"}))] == ["c", "b"]
    with pytest.raises(DataError, match="another data set"):
        cases_of(cases, frozenset({"p9"}))
