import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage

from pancascade.metrics.detection import DetectedLesion, ScanDetections, detect
from pancascade.metrics.detection_statistics import (
    FROC_POINTS,
    DetectionTable,
    auroc,
    average_precision,
    count_by_size,
    false_positives_per_scan,
    froc,
    panorama_score,
    precision,
    sensitivity,
    sensitivity_at,
)
from pancascade.metrics.lesions import SIZE_CLASSES

MM = (1.0, 1.0, 1.0)
STATISTICS = {
    "sensitivity": sensitivity,
    "sensitivity of a size": lambda *a: sensitivity(*a, size=SIZE_CLASSES[1]),
    "precision": precision,
    "false positives": false_positives_per_scan,
    "false positives of healthy scans": lambda *a: false_positives_per_scan(*a, healthy=True),
    "sensitivity at a tenth": lambda *a: sensitivity_at(*a, false_positives=0.1),
    "sensitivity at one": lambda *a: sensitivity_at(*a, false_positives=1),
    "average precision": average_precision,
    "auroc": auroc,
    "score": panorama_score,
}
each_statistic = pytest.mark.parametrize("statistic", STATISTICS.values(), ids=STATISTICS.keys())

CONFIDENCES = st.sampled_from([0.1, 0.25, 0.5, 0.5, 0.9])
LESIONS = st.builds(
    DetectedLesion, st.sampled_from([3.0, 12.0, 25.0, 60.0]), st.just(1.0), st.none() | CONFIDENCES, st.just(0.5)
)
SCANS = st.builds(
    ScanDetections,
    st.just("p"),
    st.lists(LESIONS, max_size=3).map(tuple),
    st.lists(CONFIDENCES, max_size=4).map(tuple),
    st.sampled_from([0.0, 0.1, 0.5, 0.9]),
)


def lesion(confidence, diameter_mm=15.0):
    return DetectedLesion(diameter_mm, 1.0, confidence, 0.0 if confidence is None else 0.5)


def scan(*found, false=(), score=0.0):
    return ScanDetections("p", tuple(lesion(confidence) for confidence in found), tuple(false), score)


def random_case(random, shape=(14, 13, 6)):
    """A reference of 0 to 3 blocks and a detection map with blocks on them, beside them and split ones."""

    def place(mask, start, size):
        mask[tuple(slice(a, a + s) for a, s in zip(np.maximum(start, 0), size, strict=True))] = True

    reference, found = np.zeros((2, *shape), bool)
    for _ in range(random.integers(0, 4) * random.integers(0, 2)):
        start, size = random.integers(0, np.array(shape) - 3), random.integers(2, 6, 3)
        place(reference, start, size)
        for _ in range(random.integers(0, 3)):
            place(found, start + random.integers(-2, 4, 3), np.maximum(size + random.integers(-3, 2, 3), 1))
        if random.random() < 0.4:
            place(found, start, size)
            found[:, start[1] + size[1] // 2] = False
    for _ in range(random.integers(0, 4)):
        place(found, random.integers(0, shape), random.integers(1, 4, 3))
    labels, count = ndimage.label(found, structure=np.ones((3, 3, 3)))
    values = np.append(0, random.integers(1, 8, count) / 8).astype(np.float32)
    return reference, values[labels]


def test_froc_by_hand():
    table = DetectionTable.of([scan(0.9, None, false=[0.8, 0.3]), scan(0.3), scan(false=[0.8]), scan()])
    curve = froc(table)
    assert curve.thresholds.tolist() == [math.inf, 0.9, 0.8, 0.3]
    assert curve.sensitivity.tolist() == pytest.approx([0, 1 / 3, 1 / 3, 2 / 3])
    assert curve.false_positives.tolist() == [0, 0, 0.5, 0.75]
    at = [sensitivity_at(table, false_positives=allowed) for allowed in (0, 0.5, 0.74, 0.75, 8)]
    assert at == pytest.approx([1 / 3, 1 / 3, 1 / 3, 2 / 3, 2 / 3])


def test_false_positives_allowed_are_compared_as_numbers_of_candidates():
    table = DetectionTable.of([scan(0.1, false=[0.9] * 7), *[scan()] * 9])
    assert sensitivity_at(table, false_positives=0.7) == 1
    assert sensitivity_at(table, false_positives=0.69) == 0


def test_average_precision_by_hand():
    table = DetectionTable.of([scan(0.9, None, false=[0.5]), scan(0.3)])
    assert average_precision(table) == pytest.approx(1 / 3 * 1 + 1 / 3 * 2 / 3)
    tied = DetectionTable.of([scan(0.5, false=[0.5])])
    assert average_precision(tied) == 0.5


def test_auroc_by_hand():
    scans = [scan(None, score=0.9), scan(None, score=0.4), scan(score=0.4), scan(score=0.1)]
    assert auroc(DetectionTable.of(scans)) == (2 + 1.5) / 4


def test_counts_by_hand():
    small, large = lesion(None, 9.0), lesion(0.7, 45.0)
    scans = [
        ScanDetections("a", (small, large), (0.2, 0.1), 0.7),
        ScanDetections("b", (lesion(0.4, 41.0), lesion(None, 40.0)), (), 0.7),
        ScanDetections("c", (), (0.9,), 0.9),
        ScanDetections("d", (), (), 0.0),
    ]
    table = DetectionTable.of(scans)
    assert [scan.has_lesion for scan in scans] == [True, True, False, False]
    assert sensitivity(table) == 0.5
    assert [(c.size.name, c.found, c.lesions) for c in count_by_size(table)] == [
        ("<1 cm", 0, 1),
        ("1-2 cm", 0, 0),
        ("2-4 cm", 0, 0),
        (">=4 cm", 2, 3),
    ]
    by_size = [sensitivity(table, size=size) for size in SIZE_CLASSES]
    assert by_size == pytest.approx([0, math.nan, math.nan, 2 / 3], nan_ok=True)
    assert precision(table) == 2 / 5
    assert false_positives_per_scan(table) == 3 / 4
    assert false_positives_per_scan(table, healthy=True) == 1 / 2


def test_what_cannot_be_measured_is_not_a_number():
    healthy, ill = DetectionTable.of([scan(score=0.5)]), DetectionTable.of([scan(None)])
    lesions = [sensitivity, average_precision, auroc, panorama_score, lambda t: sensitivity_at(t, false_positives=1)]
    assert np.isnan([statistic(healthy) for statistic in [*lesions, precision]]).all()
    assert np.isnan(froc(healthy).sensitivity).all()
    assert np.isnan([auroc(ill), precision(ill), false_positives_per_scan(ill, healthy=True)]).all()
    assert average_precision(ill) == sensitivity(ill) == sensitivity_at(ill, false_positives=8) == 0


def test_statistics_without_weights_are_floats_and_with_them_arrays():
    table = DetectionTable.of([scan(0.5), scan()])
    assert type(auroc(table)) is float
    assert auroc(table, np.ones((3, 2), int)).shape == (3,)
    assert auroc(table, np.ones((0, 2), int)).shape == (0,)


@each_statistic
@given(scans=st.lists(SCANS, min_size=1, max_size=6), data=st.data())
def test_weights_are_repeated_scans(statistic, scans, data):
    table = DetectionTable.of(scans)
    some = st.lists(st.integers(0, 3), min_size=len(scans), max_size=len(scans)).filter(any)
    weights = np.array([[1] * len(scans), *data.draw(st.lists(some, min_size=1, max_size=3))])
    expected = [
        statistic(DetectionTable.of([scan for scan, count in zip(scans, row, strict=True) for _ in range(count)]))
        for row in weights
    ]
    assert expected[0] == pytest.approx(statistic(table), nan_ok=True)
    assert statistic(table, weights).tolist() == pytest.approx(expected, nan_ok=True)


@each_statistic
def test_resamples_taken_in_blocks_are_those_taken_one_by_one(statistic, monkeypatch):
    random = np.random.default_rng(0)
    scans = [scan(*[0.5, None][: i % 3], false=random.random(i % 4), score=random.random()) for i in range(12)]
    table, weights = DetectionTable.of(scans), random.multinomial(12, np.ones(12) / 12, size=50)
    whole = statistic(table, weights)
    monkeypatch.setattr("pancascade.metrics.detection_statistics._BLOCK", 100)
    np.testing.assert_allclose(statistic(table, weights), whole)
    np.testing.assert_allclose([statistic(table, row[None])[0] for row in weights], whole)


@each_statistic
@given(scans=st.lists(SCANS, min_size=2, max_size=6))
def test_the_order_of_scans_does_not_matter(statistic, scans):
    turned = statistic(DetectionTable.of(scans[::-1]))
    assert turned == pytest.approx(statistic(DetectionTable.of(scans)), nan_ok=True)


@pytest.mark.parametrize("weights", [np.ones(2), np.ones((4, 3)), np.array([[1, -1]])])
def test_weights_of_another_shape_or_below_zero_are_refused(weights):
    with pytest.raises(ValueError, match="weights"):
        auroc(DetectionTable.of([scan(), scan(None)]), weights)


@pytest.mark.parametrize("scans", [[], [scan(float("nan"))], [scan(false=[float("nan")])], [scan(score=float("nan"))]])
def test_a_table_of_nothing_or_of_what_is_no_number_is_refused(scans):
    with pytest.raises(ValueError, match="table"):
        DetectionTable.of(scans)


def test_a_scan_becomes_its_record():
    reference, prediction, confidence = np.zeros((20, 20, 4), bool), np.zeros((20, 20, 4), bool), np.zeros((20, 20, 4))
    reference[0:4, 0:3, 0:2] = reference[10:12, 10:12, 2] = True
    prediction[0:4, 0:2, 0:2] = prediction[16:18, 16:18, 2] = True
    confidence[1, 1, 1], confidence[2, 1, 1], confidence[17, 17, 2], confidence[9, 9, 0] = 0.4, 0.6, 0.8, 1.0
    record = detect(prediction, reference, (1, 1, 5), patient="p", confidence=confidence)
    assert (record.patient, record.has_lesion, record.score, record.false_positives) == ("p", True, 0.8, (0.8,))
    first, second = record.lesions
    assert first == DetectedLesion(5.0, pytest.approx(0.12), 0.6, pytest.approx(16 / 24))
    assert second == DetectedLesion(pytest.approx(math.sqrt(8)), pytest.approx(0.02), None, 0.0)


def test_without_a_map_every_candidate_is_sure():
    mask = np.zeros((5, 5, 5), np.uint8)
    mask[1, 1, 1] = 1
    assert detect(mask, mask, MM, patient="p").lesions[0].confidence == 1
    assert detect(mask, 0 * mask, MM, patient="p").false_positives == (1.0,)
    assert detect(0 * mask, 0 * mask, MM, patient="p") == ScanDetections("p", (), (), 0.0)


def test_a_score_that_is_given_stays():
    mask = np.ones((3, 3, 3), bool)
    assert detect(mask, mask, MM, patient="p", score=0.25).score == 0.25


def test_hit_by_centre_takes_what_overlaps_too_little():
    reference, prediction = np.zeros((9, 9, 9), bool), np.zeros((9, 9, 9), bool)
    reference[4, 4, 4], prediction[2:7, 2:7, 2:7] = True, True
    assert detect(prediction, reference, MM, patient="p").lesions[0].confidence is None
    assert detect(prediction, reference, MM, patient="p", hit="centre").lesions[0].confidence == 1


def test_records_hold_plain_numbers():
    reference, heat = random_case(np.random.default_rng(5))
    record = detect(None, reference, MM, patient="p", confidence=heat, candidates="map")
    values = [record.score, *record.false_positives, *[v for found in record.lesions for v in vars(found).values()]]
    assert len(values) > 4
    assert {type(value) for value in values} <= {float, type(None)}


def test_a_prediction_on_another_grid_is_refused():
    with pytest.raises(ValueError, match=r"confidence has shape \(2, 2, 2\), reference \(3, 3, 3\)"):
        detect(np.ones((3, 3, 3)), np.ones((3, 3, 3)), MM, patient="p", confidence=np.ones((2, 2, 2)))


def test_candidates_need_their_array():
    with pytest.raises(ValueError, match="give the mask"):
        detect(None, np.ones((3, 3, 3)), MM, patient="p")
    with pytest.raises(ValueError, match="need the map"):
        detect(np.ones((3, 3, 3)), np.ones((3, 3, 3)), MM, patient="p", candidates="map")


def test_probabilities_are_no_detection_map():
    with pytest.raises(ValueError, match="27 different values in 1 components"):
        heat = np.linspace(0.1, 0.9, 27).reshape(3, 3, 3)
        detect(None, heat > 0, MM, patient="p", confidence=heat, candidates="map")


@pytest.mark.parametrize("value", [-0.5, math.nan])
@pytest.mark.parametrize("candidates", ["labels", "map"])
def test_a_confidence_below_zero_or_not_a_number_is_refused(value, candidates):
    mask = np.ones((3, 3, 3))
    with pytest.raises(ValueError, match="negative"):
        detect(mask, mask, MM, patient="p", confidence=value * mask, candidates=candidates)


@pytest.mark.oracle
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("least_iou", [0.1, 0.15, 0.4])
def test_records_and_statistics_are_picai_eval_s(seed, least_iou):
    from picai_eval import evaluate

    random = np.random.default_rng(seed)
    ill, healthy = np.ones((14, 13, 6), bool), np.zeros((14, 13, 6), bool)
    nothing = np.zeros(ill.shape, np.float32)
    cases = [random_case(random) for _ in range(12)] + [(ill, nothing), (healthy, nothing)]
    theirs = evaluate(
        y_det=[heat for _, heat in cases],
        y_true=[reference.astype(int) for reference, _ in cases],
        min_overlap=least_iou,
        num_parallel_calls=1,
    )
    scans = [
        detect(None, reference, MM, patient="p", confidence=heat, candidates="map", least_iou=least_iou)
        for reference, heat in cases
    ]
    for index, record in enumerate(scans):
        findings = [(1, found.confidence or 0, found.iou) for found in record.lesions]
        findings += [(0, value, 0) for value in record.false_positives]
        np.testing.assert_allclose(sorted(findings), sorted(theirs.lesion_results[index]), atol=1e-6)
        assert record.score == theirs.case_pred[index]
    table = DetectionTable.of(scans)
    assert average_precision(table) == pytest.approx(theirs.AP)
    assert auroc(table) == pytest.approx(theirs.auroc)
    assert panorama_score(table) == pytest.approx(theirs.score)
    # The last point of theirs is that of the missed lesions, put at infinitely many false positives.
    curve = froc(table)
    np.testing.assert_allclose(curve.sensitivity[1:], theirs.lesion_TPR[:-1])
    np.testing.assert_allclose(curve.false_positives[1:], theirs.lesion_FPR[:-1])
    np.testing.assert_allclose(curve.thresholds[1:], theirs.thresholds[:-1])
    for allowed in FROC_POINTS:
        at = sensitivity_at(table, false_positives=allowed)
        assert at == pytest.approx(theirs.lesion_TPR_at_FPR(allowed))


@pytest.mark.oracle
@given(st.lists(SCANS, min_size=2, max_size=30), st.randoms())
def test_auroc_is_scikit_learn_s(scans, random):
    from sklearn.metrics import roc_auc_score

    scans = [*scans, scan(None, score=0.5), scan(score=0.5)]
    truth, scores = [s.has_lesion for s in scans], [s.score for s in scans]
    weights = np.array([[1 + random.randrange(3) for _ in scans]])
    table = DetectionTable.of(scans)
    assert auroc(table) == pytest.approx(roc_auc_score(truth, scores))
    assert auroc(table, weights)[0] == pytest.approx(roc_auc_score(truth, scores, sample_weight=weights[0]))


@pytest.mark.oracle
@given(st.lists(SCANS, min_size=1, max_size=10))
def test_average_precision_without_missed_lesions_is_scikit_learn_s(scans):
    from sklearn.metrics import average_precision_score

    kept = [
        ScanDetections("p", tuple(f for f in s.lesions if f.confidence), s.false_positives, s.score)
        for s in [*scans, scan(0.5)]
    ]
    table = DetectionTable.of(kept)
    assert average_precision(table) == pytest.approx(average_precision_score(table.is_true, table.confidence))
