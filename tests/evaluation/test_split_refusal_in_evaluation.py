import json

import numpy as np
import pytest
from mask_cases import AFFINE, label_map

from pancascade.errors import DataError
from pancascade.evaluation import Method, SplitPart, evaluate
from pancascade.evaluation.held_out import require_held_out
from pancascade.files.digests import patient_mark
from pancascade.imaging.io import write_volume
from pancascade.imaging.volume import Volume

PARTS = {"train": {"case0"}, "validation": {"case1"}, "test": {"case2", "case3", "elsewhere"}}


def part_of(tmp_path, name="test", parts=PARTS):
    return SplitPart(tmp_path / "split.json", name, parts)


def run(folders, **options):
    (found,) = evaluate([Method("good", folders / "good")], folders / "reference", **options)
    return found


def names(evaluation):
    return [case.case for case in evaluation.cases]


@pytest.mark.parametrize(
    ("part", "measured"), [("test", ["case2", "case3"]), ("train", ["case0"]), ("validation", ["case1"])]
)
def test_only_the_part_is_measured_and_the_others_are_listed_not_failed(folders, part, measured):
    found = run(folders, part=part_of(folders, part))
    assert names(found) == measured
    assert found.failures == ()
    others = {"case0": "train", "case1": "validation", "case2": "test", "case3": "test"}
    assert found.left_out == {case: other for case, other in others.items() if other != part}


def test_without_a_split_all_cases_are_measured(folders):
    found = run(folders)
    assert names(found) == [f"case{n}" for n in range(4)]
    assert found.left_out == {}


def test_a_case_in_no_part_is_refused_by_name(folders):
    parts = {"train": {"case0"}, "validation": set(), "test": {"case2"}}
    with pytest.raises(DataError, match=r"split\.json: case1, case3 in none of its parts\. .*--patients"):
        run(folders, part=part_of(folders, parts=parts))


def test_patients_decide_where_cases_are_named_otherwise(folders):
    patients = {f"case{n}": f"p{n // 2}" for n in range(4)}
    found = run(folders, patients=patients, part=part_of(folders, parts={"train": {"p0"}, "test": {"p1"}}))
    assert names(found) == ["case2", "case3"]


def test_a_part_without_any_reference_is_refused(folders):
    parts = {"train": {f"case{n}" for n in range(4)}, "validation": set(), "test": {"x"}}
    with pytest.raises(DataError, match=r"none of the 4 references belongs to its test part"):
        run(folders, part=part_of(folders, parts=parts))


def test_a_prediction_without_reference_is_a_failure_only_in_its_part(folders):
    for name in ("elsewhere", "case0b", "case1b"):
        write_volume(Volume(label_map(3), AFFINE), folders / "good" / f"{name}.nii.gz")
    parts = PARTS | {"train": {"case0", "case0b"}}
    found = run(folders, part=part_of(folders, parts=parts))
    assert [failure.case for failure in found.failures] == ["case1b", "elsewhere"]
    assert found.left_out["case0b"] == "train"


def segmented(folder, case, trained_on):
    """A prediction as `pancascade segment` writes it."""
    write_volume(Volume(label_map(int(case[-1])), AFFINE), folder / case / "segmentation.nii.gz")
    records = [{"data_set": "set", "split": None, "patients": [patient_mark(name) for name in trained_on]}]
    (folder / case / "result.json").write_text(json.dumps({"model": "best", "trained_on": records}))


@pytest.fixture
def model_of_case0(folders):
    """Predictions of a model that was trained on case0 and on the patient q."""
    for n in range(4):
        segmented(folders / "model", f"case{n}", ["case0", "q"])
    return Method("model", folders / "model")


def test_a_model_s_training_cases_are_refused(folders, model_of_case0):
    with pytest.raises(DataError, match=r"model: the model that made these masks was trained on case0; .*--split"):
        evaluate([model_of_case0], folders / "reference")


def test_training_cases_are_measured_when_asked_for(folders, model_of_case0):
    (found,) = evaluate([model_of_case0], folders / "reference", allow_training_cases=True)
    assert len(found.cases) == 4


def test_a_split_that_leaves_training_cases_out_passes(folders, model_of_case0):
    (found,) = evaluate([model_of_case0], folders / "reference", part=part_of(folders))
    assert names(found) == ["case2", "case3"]


def test_a_case_of_a_training_patient_is_found_by_its_patient(folders, model_of_case0):
    with pytest.raises(DataError, match="trained on case0, case2;"):
        evaluate([model_of_case0], folders / "reference", patients={"case2": "q"})


@pytest.mark.parametrize("content", ["nothing", "{}", "[]", '{"trained_on": 3}', '{"trained_on": [{}]}'])
def test_a_result_that_tells_nothing_passes(tmp_path, content):
    (tmp_path / "result.json").write_text(content)
    require_held_out("m", {"a": tmp_path / "segmentation.nii.gz"}, {})


def test_a_result_beside_other_masks_is_not_theirs(tmp_path):
    segmented(tmp_path, "case0", ["case0"])
    require_held_out("m", {"case0": tmp_path / "case0" / "other.nii.gz"}, {})
    with pytest.raises(DataError):
        require_held_out("m", {"case0": tmp_path / "case0" / "segmentation.nii.gz"}, {})


def test_two_methods_are_measured_over_the_same_part(folders):
    methods = [Method(name, folders / name) for name in ("good", "bad")]
    (folders / "bad" / "case0.nii.gz").unlink()
    found = evaluate(methods, folders / "reference", part=part_of(folders))
    assert [names(one) for one in found] == [["case2", "case3"]] * 2
    assert [one.failures for one in found] == [(), ()]
    assert np.all([one.left_out == {"case0": "train", "case1": "validation"} for one in found])
