import math
from itertools import product

import numpy as np
import pytest
from mask_cases import record

from pancascade.evaluation import EmptyRule, Protocol, case_values, metrics_of
from pancascade.evaluation.values import overlap_values
from pancascade.metrics import Confusion

NAN = math.nan
NOTHING = Confusion(0, 0, 0, 100)
REFERENCE_EMPTY = Confusion(0, 7, 0, 93)
PREDICTION_EMPTY = Confusion(0, 0, 5, 95)
ORDINARY = Confusion(8, 2, 1, 89)
FULL = Confusion(100, 0, 0, 0)
WORTH = {"one": 1.0, "zero": 0.0, "skip": NAN}
RULES = [
    EmptyRule(both=both, reference=reference, prediction=prediction, distance=distance)
    for both, reference, prediction, distance in product(
        ("one", "zero", "skip"), ("zero", "skip"), ("zero", "skip"), ("diagonal", "skip")
    )
]


def expected(rule: EmptyRule) -> dict[Confusion, dict[str, float]]:
    """What the docstring of EmptyRule says, written out."""
    both, reference, prediction = WORTH[rule.both], WORTH[rule.reference], WORTH[rule.prediction]
    return {
        NOTHING: {
            "dice": both,
            "iou": both,
            "sensitivity": both,
            "precision": both,
            "specificity": 1.0,
            "volume_error": NAN,
        },
        REFERENCE_EMPTY: {
            "dice": reference,
            "iou": reference,
            "sensitivity": NAN,
            "precision": reference,
            "specificity": 0.93,
            "volume_error": NAN,
        },
        PREDICTION_EMPTY: {
            "dice": 0.0,
            "iou": 0.0,
            "sensitivity": 0.0,
            "precision": prediction,
            "specificity": 1.0,
            "volume_error": -1.0,
        },
        ORDINARY: {
            "dice": 16 / 19,
            "iou": 8 / 11,
            "sensitivity": 8 / 9,
            "precision": 0.8,
            "specificity": 89 / 91,
            "volume_error": 1 / 9,
        },
        FULL: {
            "dice": 1.0,
            "iou": 1.0,
            "sensitivity": 1.0,
            "precision": 1.0,
            "specificity": NAN,
            "volume_error": 0.0,
        },
    }


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: " ".join(rule.model_dump().values()))
def test_slices_are_worth_what_the_rule_says(rule):
    wanted = expected(rule)
    values = overlap_values(list(wanted), rule)
    for place, numbers in enumerate(wanted.values()):
        found = {metric: float(column[place]) for metric, column in values.items()}
        assert found == pytest.approx(numbers, nan_ok=True)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: " ".join(rule.model_dump().values()))
def test_scans_are_worth_what_the_rule_says(rule):
    protocol = Protocol(empty=rule, tolerances_mm=(1.0, 2.5))
    diagonal = 20.0 if rule.distance == "diagonal" else NAN
    surface = {
        NOTHING: (NAN, WORTH[rule.both]),
        REFERENCE_EMPTY: (diagonal, WORTH[rule.reference]),
        PREDICTION_EMPTY: (diagonal, 0.0),
    }
    for counts, overlap in expected(rule).items():
        found = case_values(record("a", [counts, NOTHING]), "pancreas", protocol)
        tn = counts.true_negatives + 100
        specificity = tn / (tn + counts.false_positives)
        assert {metric: found[metric] for metric in overlap} == pytest.approx(
            overlap | {"specificity": specificity}, nan_ok=True
        )
        if counts in surface:
            distance, near = surface[counts]
            distances = [found[key] for key in ("hd95_mm", "hd_mm", "assd_mm")]
            assert distances == pytest.approx([distance] * 3, nan_ok=True)
            assert [found["nsd_1mm"], found["nsd_2.5mm"]] == pytest.approx([near] * 2, nan_ok=True)


@pytest.mark.parametrize("rule", RULES[::5])
def test_no_rule_touches_what_was_measured(rule):
    fields = {"hd95_mm": 3.5, "hd_mm": 9.0, "assd_mm": 1.25, "nsd": (0.5, 0.75), "box_recall": 0.9, "box_iou": 0.4}
    found = case_values(record("a", [ORDINARY], **fields), "pancreas", Protocol(empty=rule))
    keys = ("hd95_mm", "hd_mm", "assd_mm", "nsd_1mm", "nsd_2mm", "box_recall", "box_iou")
    assert [found[key] for key in keys] == [3.5, 9.0, 1.25, 0.5, 0.75, 0.9, 0.4]
    assert found["volume_error_ml"] == pytest.approx(0.002)
    assert found["absolute_volume_error_ml"] == pytest.approx(0.002)


def test_a_measured_nsd_of_0_stays_0_whatever_the_rule():
    for rule in RULES:
        found = case_values(record("a", [ORDINARY], nsd=(0.0, 0.0)), "pancreas", Protocol(empty=rule))
        assert found["nsd_1mm"] == 0


def test_volume_errors_keep_their_sign():
    protocol = Protocol()
    missed = case_values(record("a", [PREDICTION_EMPTY]), "pancreas", protocol)
    assert (missed["volume_error_ml"], missed["absolute_volume_error_ml"]) == pytest.approx((-0.01, 0.01))
    invented = case_values(record("a", [REFERENCE_EMPTY]), "pancreas", protocol)
    assert invented["volume_error_ml"] == pytest.approx(0.014)
    assert np.isnan(invented["volume_error"])


def test_values_have_the_metrics_of_the_protocol_in_their_order():
    protocol = Protocol(tolerances_mm=(0.5, 3.0))
    assert list(case_values(record("a", [ORDINARY]), "pancreas", protocol)) == list(metrics_of(protocol))
    assert {"nsd_0.5mm", "nsd_3mm"} <= set(metrics_of(protocol))


def test_no_slices_have_no_values():
    assert all(column.shape == (0,) for column in overlap_values([], EmptyRule()).values())
