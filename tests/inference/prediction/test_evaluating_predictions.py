"""What `predict` wrote, against the data set: slice by slice, or scan by scan."""

from pathlib import Path

import numpy as np
import pytest
from abdomen_phantom import HounsfieldCascade
from PIL import Image

from pancascade.data.readers.data_reading import DataReading
from pancascade.errors import DataError
from pancascade.evaluation import Protocol, SplitPart, find_protocol, summarise
from pancascade.evaluation.data_set import evaluate_data_set, is_of_data_set, read_predicted_cases
from pancascade.evaluation.prediction_set import PredictionSource, read_prediction_set, write_prediction_set
from pancascade.inference.prediction import predict_cases


def dice(one, other):
    return 2 * np.count_nonzero(one & other) / (np.count_nonzero(one) + np.count_nonzero(other))


def test_the_papers_table_over_slices_comes_from_the_pictures_themselves(weights, pictures, tmp_path):
    folder, cases = pictures
    out = tmp_path / "out"
    predict_cases(weights(), cases, out)
    expected = [
        dice(*(np.asarray(Image.open(place / f"{case.name}.png")) > 0 for place in (out, folder / "masks")))
        for case in cases
    ]
    found = evaluate_data_set(out, cases, method="ours", protocol=find_protocol("qiu2024"))
    assert [(record.case, len(record.targets["pancreas"].slices)) for record in found.cases] == [
        ("p0", 2),
        ("p1", 2),
        ("p2", 2),
    ]
    statistic = summarise(found.cases, found.protocol)["pancreas"]["slices_with_target"]["dice"]
    assert statistic.mean == pytest.approx(np.mean(expected))
    assert 0.8 < statistic.mean < 1
    assert statistic.count == 6


def test_whole_scans_are_measured_on_their_own_grid(weights, scans, tmp_path):
    predict_cases(weights(spacing_mm=None), scans[1], tmp_path / "out")
    found = evaluate_data_set(tmp_path / "out", scans[1], method="ours")
    assert [record.case for record in found.cases] == ["a", "b"]
    one, other = (record.targets["pancreas"] for record in found.cases)
    assert one.total == other.total
    assert one.distances_mm["hd95_mm"] == pytest.approx(other.distances_mm["hd95_mm"])
    assert 0.8 < one.total.dice < 1


def test_single_slices_have_no_surface_in_mm_whether_missed_or_not(weights, pictures, tmp_path):
    predict_cases(weights(HounsfieldCascade(organ_hu=500)), pictures[1], tmp_path / "out")
    found = evaluate_data_set(tmp_path / "out", pictures[1], method="blind")
    statistics = summarise(found.cases, found.protocol)["pancreas"]["volumes"]
    assert statistics["dice"].mean == 0
    assert statistics["nsd_1mm"].count == statistics["hd95_mm"].count == 0


def test_patients_whom_the_weights_learned_from_are_refused_unless_asked_for(weights, pictures, tmp_path):
    predict_cases(weights(trained_on=["p1"]), pictures[1], tmp_path / "out")
    with pytest.raises(DataError, match="trained on p1"):
        evaluate_data_set(tmp_path / "out", pictures[1], method="ours")
    found = evaluate_data_set(tmp_path / "out", pictures[1], method="ours", allow_training_cases=True)
    assert len(found.cases) == 3


def test_predictions_that_are_not_finished_give_no_numbers(weights, pictures, tmp_path):
    found = predict_cases(weights(), pictures[1], tmp_path / "out")
    write_prediction_set(found.model_copy(update={"state": "running"}), tmp_path / "out")
    with pytest.raises(DataError, match="interrupted"):
        evaluate_data_set(tmp_path / "out", pictures[1], method="ours")


def test_what_was_not_predicted_or_is_gone_is_named(weights, pictures, tmp_path):
    folder, cases = pictures
    (folder / "images" / "s0.png").write_bytes(b"no picture")
    predict_cases(weights(), cases, tmp_path / "out")
    (tmp_path / "out" / "s1.png").unlink()
    found = evaluate_data_set(tmp_path / "out", cases[:-1], method="ours")
    assert [failure.case for failure in found.failures] == ["s0", "s1", "s5"]
    assert [failure.message.split(":")[0] for failure in found.failures] == [
        "was not predicted",
        "s1.png",
        "no case of this name in the data set.",
    ]
    assert len(found.cases) == 2


def test_a_data_set_is_read_as_it_was_when_it_was_predicted(weights, pictures, tmp_path):
    folder, cases = pictures
    values = {1: "pancreas", 2: "tumour"}
    reading = DataReading(layout="slice_folder", flip_rows=True, mask_values=values)
    out = tmp_path / "out"
    predict_cases(weights(), cases, out, source=PredictionSource(data_set="pictures", reading=reading))
    assert read_prediction_set(out).source.reading == reading
    assert is_of_data_set(out, folder)
    other = PredictionSource(data_set="regions", reading=DataReading(layout="region_folder"))
    write_prediction_set(read_prediction_set(out).model_copy(update={"source": other}), tmp_path / "regions")
    assert not is_of_data_set(tmp_path / "regions", folder)
    assert not is_of_data_set(out, folder / "masks")
    assert not is_of_data_set(folder, folder)
    (first, *_) = read_predicted_cases(out, folder)
    assert np.array_equal(first.read_slices()[0].labels, cases[0].read_slices()[0].labels)


def test_only_one_part_of_a_split_is_measured_if_that_is_asked_for(weights, pictures, tmp_path):
    predict_cases(weights(), pictures[1], tmp_path / "out")
    part = SplitPart(Path("split.json"), "test", {"train": ["p0"], "validation": [], "test": ["p1", "p2"]})
    found = evaluate_data_set(tmp_path / "out", pictures[1], method="ours", part=part)
    assert [record.case for record in found.cases] == ["p1", "p2"]
    assert found.left_out == {"s0": "train", "s1": "train"}
    assert found.failures == ()


def test_a_case_that_failed_is_a_failure_of_its_own_part_alone(weights, pictures, tmp_path):
    folder, cases = pictures
    (folder / "images" / "s0.png").write_bytes(b"no picture")
    predict_cases(weights(), cases, tmp_path / "out")
    parts = {"train": ["p0"], "validation": [], "test": ["p1", "p2"]}
    reported = {
        part: [
            failure.case
            for failure in evaluate_data_set(
                tmp_path / "out", cases, method="ours", part=SplitPart(Path("split.json"), part, parts)
            ).failures
        ]
        for part in ("train", "test")
    }
    assert reported == {"train": ["s0"], "test": []}


@pytest.mark.parametrize(
    ("change", "reported"),
    [
        (lambda labels: np.where(labels > 0, 7, labels).astype(np.uint8), "values that no target names"),
        (lambda labels: labels.astype(np.uint16), "pixels, but its slice has"),
        (lambda labels: labels[:-1], "pixels, but its slice has"),
    ],
    ids=["another value", "16 bits", "another size"],
)
def test_a_mask_of_other_pixels_than_predict_writes_is_a_failure(weights, pictures, tmp_path, change, reported):
    out = tmp_path / "out"
    predict_cases(weights(), pictures[1], out)
    labels = np.asarray(Image.open(out / "s3.png"))
    Image.fromarray(change(labels)).save(out / "s3.png")
    (failure,) = evaluate_data_set(out, pictures[1], method="ours").failures
    assert failure.case == "s3"
    assert reported in failure.message


def test_a_case_without_a_mask_counts_as_empty_where_the_protocol_says_so(weights, scans, tmp_path):
    predict_cases(weights(), scans[1], tmp_path / "out")
    found = read_prediction_set(tmp_path / "out")
    failed = found.cases[1].model_copy(update={"state": "failed", "files": {}, "message": "too large"})
    write_prediction_set(found.model_copy(update={"cases": (found.cases[0], failed)}), tmp_path / "out")
    reported = evaluate_data_set(tmp_path / "out", scans[1], method="ours")
    assert [failure.case for failure in reported.failures] == ["b"]
    empty = evaluate_data_set(tmp_path / "out", scans[1], method="ours", protocol=Protocol(missing="empty"))
    assert [record.targets["pancreas"].total.dice > 0 for record in empty.cases] == [True, False]
    assert empty.failures == ()
