"""Files of earlier versions, whose keys had other names, are read as they were meant."""

import json
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "report"))

from result_examples import result

from pancascade.errors import UnknownModelError
from pancascade.evaluation.prediction_set import PredictionSet
from pancascade.inference.models.known_models import find_model
from pancascade.results.location import Location
from pancascade.results.result import NAME, read_result, write_result

STEPS = [
    {"weights": "a.safetensors", "field": "scan", "locator": "own", "rescue": False},
    {"weights": "b.safetensors", "field": "region", "locator": "before", "consistent": False},
]


def test_a_model_of_an_earlier_version_has_the_same_steps(tmp_path):
    path = tmp_path / "model.json"
    path.write_text(json.dumps({"name": "m", "summary": "s", "least_suspicion": 0.7, "steps": STEPS}))
    model = find_model(str(path))
    assert [step.input for step in model.steps] == ["scan", "roi"]
    assert [step.rois_from for step in model.steps] == ["self", "previous_step"]
    assert [step.fallback_search for step in model.steps] == [False, True]
    assert [step.smooth_along_z for step in model.steps] == [True, False]
    assert model.least_tumour_score == 0.7
    today = model.model_dump(mode="json", exclude={"folder"})
    assert not {"field", "locator", "rescue", "consistent"} & today["steps"][0].keys()
    path.write_text(json.dumps(today))
    assert find_model(str(path)).steps == model.steps


def test_one_thing_under_both_keys_is_refused(tmp_path):
    path = tmp_path / "model.json"
    steps = [{"weights": "a.safetensors", "field": "scan", "input": "scan"}]
    path.write_text(json.dumps({"name": "m", "summary": "s", "steps": steps}))
    with pytest.raises(UnknownModelError, match="field"):
        find_model(str(path))


def test_a_result_of_an_earlier_version_tells_backend_and_score(tmp_path):
    write_result(result(tumour_score=0.5, backend="torch float32"), tmp_path / NAME)
    written = json.loads((tmp_path / NAME).read_text())
    written["engine"], written["tumour_suspicion"] = written.pop("backend"), written.pop("tumour_score")
    (tmp_path / NAME).write_text(json.dumps(written))
    found = read_result(tmp_path)
    assert (found.backend, found.tumour_score) == ("torch float32", 0.5)


def test_a_reason_of_an_earlier_version_has_todays_code():
    found = Location.model_validate({"confidence": 0.4, "reasons": ["belief_weak", "organ_small"]})
    assert found.reasons == ("probability_low", "organ_small")


def test_predictions_of_an_earlier_version_tell_the_backend():
    fields = {"state": "finished", "checkpoint": "a.safetensors", "checkpoint_digest": "0" * 32, "engine": "torch f32"}
    assert PredictionSet.model_validate(fields).backend == "torch f32"
