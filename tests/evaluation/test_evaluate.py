import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from mask_cases import AFFINE, FAST, SHAPE, label_map

from pancascade.errors import DataError
from pancascade.evaluation import Failure, Method, Metric, case_values, evaluate, measure_case, method_name
from pancascade.evaluation.quantities import METRICS
from pancascade.evaluation.work import Entry, MeasurementJob, do_job, run_jobs
from pancascade.imaging.io import read_volume, write_volume
from pancascade.imaging.volume import Volume


def rewrite(path: Path, labels: np.ndarray) -> None:
    write_volume(Volume(labels, AFFINE), path)


@pytest.fixture
def measured(monkeypatch) -> list[str]:
    """Names of the predictions that were measured, and not taken from a record."""
    done: list[str] = []

    def counting(reference, prediction, **options):
        done.append(f"{prediction.source.parent.name}/{options['case']}")
        return measure_case(reference, prediction, **options)

    monkeypatch.setattr("pancascade.evaluation.work.measure_case", counting)
    return done


def run(folders: Path, *methods: str, records: bool = False, **options):
    entries = [
        Method(name, folders / name, records=folders / "records" / name if records else None)
        for name in methods or ("good",)
    ]
    return evaluate(entries, folders / "reference", **{"protocol": FAST} | options)


def test_records_are_those_of_each_case_alone(folders):
    good, bad = run(folders, "good", "bad")
    assert (good.method, bad.method) == ("good", "bad")
    for evaluation in (good, bad):
        assert [case.case for case in evaluation.cases] == [f"case{n}" for n in range(4)]
        assert evaluation.failures == ()
        assert evaluation.protocol == FAST
        for case in evaluation.cases:
            paths = (folders / name / f"{case.case}.nii.gz" for name in ("reference", evaluation.method))
            assert case == measure_case(*map(read_volume, paths), case=case.case, protocol=FAST)


def test_patients_reach_the_records(folders):
    (found,) = run(folders, patients={"case0": "p", "case2": "p"})
    assert [case.patient for case in found.cases] == ["p", "case1", "p", "case3"]
    assert found.cases[0].detections.patient == "p"


def test_two_single_files_are_one_case(folders):
    shutil.copy(folders / "good" / "case1.nii.gz", folders / "other.nii.gz")
    (found,) = evaluate([Method("m", folders / "other.nii.gz")], folders / "reference" / "case1.nii.gz", protocol=FAST)
    assert [case.case for case in found.cases] == ["case1"]


def damage(folders: Path) -> dict[str, tuple[str, str]]:
    """One bad file each; by case the folder and what is said."""
    bad = folders / "bad"
    (bad / "case0.nii.gz").write_bytes((bad / "case0.nii.gz").read_bytes()[:-20])
    rewrite(bad / "case1.nii.gz", label_map(1, (14, 12, 6)))
    (bad / "case2.nii.gz").unlink()
    rewrite(bad / "case3.nii.gz", np.full(SHAPE, 9, np.uint8))
    return {
        "case0": "ends too early",
        "case1": "not on the grid",
        "case2": "no prediction of this name",
        "case3": "holds label 9",
    }


def test_a_bad_file_costs_its_own_case_of_its_own_method(folders):
    expected = damage(folders)
    (folders / "good" / "case9.nii.gz").write_bytes(b"no image")
    bad, good = run(folders, "bad", "good")
    assert {failure.case: failure.message for failure in bad.failures}.keys() == expected.keys()
    for failure in bad.failures:
        assert expected[failure.case] in failure.message
        assert f"{failure.case}.nii.gz" in failure.message
        assert str(folders) not in failure.message
    assert bad.cases == ()
    assert [case.case for case in good.cases] == [f"case{n}" for n in range(4)]
    assert [failure.case for failure in good.failures] == ["case9"]


def test_a_bad_reference_costs_that_case_in_every_method(folders):
    (folders / "reference" / "case2.nii.gz").write_bytes(b"")
    for found in run(folders, "good", "bad"):
        assert [case.case for case in found.cases] == ["case0", "case1", "case3"]
        ((case, message),) = found.failures
        assert case == "case2"
        assert "case2.nii.gz" in message


@pytest.mark.parametrize(
    "error", [MemoryError("no room"), ValueError("odd"), OSError(5, "I/O"), ZeroDivisionError("x")]
)
def test_an_error_nobody_thought_of_names_the_file(folders, monkeypatch, error):
    def fail(reference, prediction, **options):
        if options["case"] == "case1":
            raise error
        return measure_case(reference, prediction, **options)

    monkeypatch.setattr("pancascade.evaluation.work.measure_case", fail)
    (found,) = run(folders)
    assert len(found.cases) == 3
    ((case, message),) = found.failures
    assert case == "case1"
    assert message.startswith(f"case1.nii.gz: could not be compared ({type(error).__name__}")


def test_a_missing_prediction_may_count_as_an_empty_one(folders):
    (folders / "good" / "case2.nii.gz").unlink()
    (found,) = run(folders, protocol=FAST.model_copy(update={"missing": "empty"}))
    assert found.failures == ()
    missing = found.cases[2]
    assert missing.prediction is None
    assert missing.targets["pancreas"].total[:3] == (0, 0, np.count_nonzero(label_map(2)))


def test_a_second_run_measures_nothing_and_finds_the_same(folders, measured):
    first = run(folders, "good", "bad", records=True)
    assert len(measured) == 8
    assert run(folders, "good", "bad", records=True) == first
    assert len(measured) == 8


@pytest.mark.parametrize(
    ("change", "again"),
    [
        ({"resamples": 300, "seed": 5}, 0),
        ({"headline": "pooled", "metrics": ("dice",), "name": "mine", "missing": "empty"}, 0),
        ({"empty": {"both": "skip"}}, 0),
        ({"labels": {"pancreas": (1,), "tumour": (2,)}}, 4),
        ({"reference_labels": {"pancreas": (2,), "tumour": (1,)}}, 4),
        ({"surface": "voxel"}, 4),
        ({"tolerances_mm": (3.0,)}, 4),
        ({"lesions": {"hit": "centre"}}, 4),
        ({"other_labels": "background"}, 4),
        ({"resample": True}, 4),
    ],
)
def test_a_record_is_measured_anew_when_the_protocol_changes_its_numbers(folders, measured, change, again):
    run(folders, records=True)
    measured.clear()
    protocol = type(FAST).model_validate(FAST.model_dump() | change)
    (found,) = run(folders, records=True, protocol=protocol)
    assert len(measured) == again
    assert found.cases == run(folders, protocol=protocol)[0].cases


def test_a_record_is_measured_anew_when_a_file_changes(folders, measured):
    run(folders, "good", "bad", records=True)
    measured.clear()
    rewrite(folders / "good" / "case1.nii.gz", label_map(1))
    rewrite(folders / "reference" / "case3.nii.gz", label_map(7))
    found = run(folders, "good", "bad", records=True)
    assert sorted(measured) == ["bad/case3", "good/case1", "good/case3"]
    assert found == run(folders, "good", "bad")
    assert found[0].cases[1].targets["pancreas"].total.dice == 1


def test_a_record_is_measured_anew_for_another_patient(folders, measured):
    run(folders, records=True)
    measured.clear()
    (found,) = run(folders, records=True, patients={"case1": "p"})
    assert measured == ["good/case1"]
    assert found.cases[1].patient == "p"


def test_a_record_is_measured_anew_when_a_distance_is_new(folders, measured, monkeypatch):
    run(folders, records=True)
    measured.clear()
    median = Metric("hd50_mm", "HD50 [mm]", best="low", distance=lambda found: found.hausdorff_mm(50))
    monkeypatch.setitem(METRICS, median.key, median)
    (found,) = run(folders, records=True)
    assert len(measured) == 4
    for case in found.cases:
        values = case_values(case, "pancreas", FAST)
        assert 0 <= values["hd50_mm"] <= values["hd95_mm"]


def test_a_file_that_turns_bad_is_no_longer_answered_by_its_record(folders):
    run(folders, records=True)
    path = folders / "good" / "case1.nii.gz"
    path.write_bytes(path.read_bytes()[:100])
    (found,) = run(folders, records=True)
    assert [failure.case for failure in found.failures] == ["case1"]


def test_copies_of_the_files_are_known_and_named_where_they_now_are(folders, measured):
    run(folders, records=True)
    measured.clear()
    for name in ("good", "reference"):
        shutil.copytree(folders / name, folders / f"new-{name}")
    method = Method("good", folders / "new-good", records=folders / "records" / "good")
    (found,) = evaluate([method], folders / "new-reference", protocol=FAST)
    assert measured == []
    assert found.cases[0].prediction == str(folders / "new-good" / "case0.nii.gz")
    assert found.cases[0].reference == str(folders / "new-reference" / "case0.nii.gz")


@pytest.mark.parametrize(
    "damaged",
    ["", "{", "[]", "null", '{"key": 1}', '{"record": {}, "key": {}}', "\x00\xff"],
)
def test_a_damaged_record_is_measured_anew(folders, measured, damaged):
    (first,) = run(folders, records=True)
    path = folders / "records" / "good" / "case2.json"
    whole = path.read_bytes()
    path.write_bytes(damaged.encode("latin-1"))
    measured.clear()
    assert run(folders, records=True) == [first]
    assert measured == ["good/case2"]
    assert path.read_bytes() == whole


@pytest.mark.parametrize("change", [{"format": 0}, {"format": None}])
def test_a_record_of_another_version_is_measured_anew(folders, measured, change):
    run(folders, records=True)
    path = folders / "records" / "good" / "case2.json"
    kept = json.loads(path.read_text())
    kept["key"] |= change
    path.write_text(json.dumps(kept))
    measured.clear()
    run(folders, records=True)
    assert measured == ["good/case2"]


def test_a_record_with_a_key_too_many_is_measured_anew(folders, measured):
    run(folders, records=True)
    path = folders / "records" / "good" / "case2.json"
    kept = json.loads(path.read_text())
    kept["record"]["colour"] = "red"
    path.write_text(json.dumps(kept))
    measured.clear()
    run(folders, records=True)
    assert measured == ["good/case2"]


def test_voxels_beside_a_header_belong_to_the_file(folders, measured):
    """Also where the name looks like a pattern."""
    itk = pytest.importorskip("SimpleITK")

    def write(labels):
        image = itk.GetImageFromArray(np.ascontiguousarray(labels.transpose()))
        itk.WriteImage(image, str(folders / "mhd" / "case[0].mhd"))

    (folders / "mhd").mkdir()
    (folders / "mhd" / "case[0].folder").mkdir()
    write(label_map(0))
    shutil.copytree(folders / "mhd", folders / "truth")
    method = Method("mhd", folders / "mhd", records=folders / "records")
    (first,) = evaluate([method], folders / "truth", protocol=FAST)
    assert first.cases[0].targets["pancreas"].total.dice == 1
    write(label_map(1))
    (second,) = evaluate([method], folders / "truth", protocol=FAST)
    assert len(measured) == 2
    assert second.cases[0].targets["pancreas"].total.dice < 1


def test_records_that_cannot_be_kept_are_said(folders):
    (folders / "records").write_text("a file")
    (found,) = run(folders, records=True)
    assert len(found.failures) == 4
    assert "cannot be written" in found.failures[0].message


def test_progress_is_told_case_by_case(folders):
    seen = []
    run(folders, "good", "bad", progress=lambda done, total: seen.append((done, total)))
    assert seen == [(n, 4) for n in range(5)]


def confidence_map(n: int) -> np.ndarray:
    return (label_map(n + 50) == 2) * np.float32(0.5)


def test_confidence_maps_and_scores_go_with_their_case(folders):
    for n in range(4):
        rewrite(folders / "likelihood" / f"case{n}.nii.gz", confidence_map(n))
    method = Method("bad", folders / "bad", confidence=folders / "likelihood", scores={"case3": 0.875})
    (found,) = evaluate([method], folders / "reference", protocol=FAST)
    assert found.failures == ()
    assert found.cases[3].detections.score == 0.875
    for case in found.cases[:3]:
        assert {*case.detections.false_positives} <= {0.0, 0.5}


def test_a_missing_confidence_map_is_a_failure_and_no_silent_1(folders):
    for n in range(3):
        rewrite(folders / "likelihood" / f"case{n}.nii.gz", confidence_map(n))
    method = Method("bad", folders / "bad", confidence=folders / "likelihood")
    (found,) = evaluate([method], folders / "reference", protocol=FAST)
    ((case, message),) = found.failures
    assert case == "case3"
    assert message == "case3.nii.gz: no confidence map of the name case3 in likelihood."


def test_a_single_confidence_map_belongs_to_a_single_prediction(folders):
    rewrite(folders / "map.nii.gz", confidence_map(0))
    method = Method("bad", folders / "bad" / "case0.nii.gz", confidence=folders / "map.nii.gz")
    (found,) = evaluate([method], folders / "reference" / "case0.nii.gz", protocol=FAST)
    detections = found.cases[0].detections
    confidences = {lesion.confidence for lesion in detections.lesions} - {None} | {*detections.false_positives}
    assert confidences
    assert confidences <= {0.0, 0.5}


def test_a_folder_with_nothing_to_compare_is_refused_at_once(folders, measured):
    with pytest.raises(DataError, match="there is no such file or folder"):
        run(folders, "good", "nowhere")
    assert measured == []


def test_a_method_is_named_by_its_folder(tmp_path, monkeypatch):
    (tmp_path / "mine").mkdir()
    monkeypatch.chdir(tmp_path / "mine")
    assert method_name(Path()) == "mine"
    assert method_name(tmp_path / "mine" / ".." / "mine") == "mine"


def test_several_processes_find_what_one_finds(folders):
    damage(folders)
    seen = []
    alone = run(folders, "good", "bad")
    together = run(folders, "good", "bad", workers=2, progress=lambda *now: seen.append(now))
    assert together == alone
    assert seen == [(n, 4) for n in range(5)]


class Deadly(type(Path())):
    """A path whose arrival kills a worker, as running out of memory does."""

    def __reduce__(self):
        return os._exit, (9,)


def test_a_case_that_kills_its_worker_costs_that_case_only(folders):
    jobs = [
        MeasurementJob(
            f"case{n}",
            (Deadly if n == 1 else Path)(folders / "reference" / f"case{n}.nii.gz"),
            f"case{n}",
            (Entry("good", folders / "good" / f"case{n}.nii.gz", None, None, None),),
            FAST,
        )
        for n in range(3)
    ]
    outcomes = [found["good"] for found in run_jobs(jobs, workers=2)]
    by_case = {outcome.case: outcome for outcome in outcomes}
    assert len(outcomes) == len(by_case) == 3
    assert isinstance(by_case["case1"], Failure)
    assert by_case["case1"].message.startswith("case1.nii.gz: the process")
    assert "out of memory" in by_case["case1"].message
    for n in (0, 2):
        assert by_case[f"case{n}"] == do_job(jobs[n])["good"]
