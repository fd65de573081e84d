"""Results of a training that are kept on disk."""

import json

import pytest

from pancascade.reproduction.measured import CaseValue, Measured, keep_measured, kept_measured


@pytest.fixture
def path(tmp_path):
    value = CaseValue(case="a", patient="p", value=0.25)
    keep_measured(tmp_path / "m.json", Measured(recipe="r", hours=1.5, values={"box_iou_test": (value,)}))
    return tmp_path / "m.json"


def test_results_come_back(path):
    kept = kept_measured(path, recipe="r")
    assert kept is not None
    assert kept.values["box_iou_test"][0].value == 0.25
    assert kept_measured(path, recipe="another") is None


@pytest.mark.parametrize("change", [{"hours": 1.0}, {"values": {}}, {"digest": "0"}])
def test_changed_results_are_measured_again(path, change):
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    assert kept_measured(path, recipe="r") is None


def test_results_of_an_older_version_have_no_digest(path):
    kept = json.loads(path.read_text())
    del kept["digest"]
    path.write_text(json.dumps(kept))
    assert kept_measured(path, recipe="r") is not None
