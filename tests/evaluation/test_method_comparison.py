import math

import numpy as np
import pytest
from mask_cases import FAST, evaluation, record, simple

from pancascade.errors import DataError
from pancascade.evaluation import Protocol, compare, worst_cases
from pancascade.metrics import compare_all, rank_methods

NAMES = [f"c{n}" for n in range(8)]
HITS = {
    "a": [40, 41, 42, 43, 44, 45, 46, 47],
    "b": [30, 32, 34, 36, 38, 40, 42, 43],
    "c": [10, 49, 20, 48, 5, 47, 3, 50],
}
HIGH = Protocol(metrics=("dice", "hd95_mm"), resamples=200)


def method(name: str, *, left_out: tuple[int, ...] = (), patients=None, protocol=HIGH):
    cases = [
        simple(
            case, both, patient=patients and patients[n], hd95_mm=float(60 - both), hd_mm=60.0, assd_mm=1.0, nsd=(0, 1)
        )
        for n, (case, both) in enumerate(zip(NAMES, HITS[name], strict=True))
        if n not in left_out
    ]
    return evaluation(name, cases, protocol)


def dice(both: int) -> float:
    return 2 * both / (50 + both)


@pytest.mark.parametrize("patients", [None, ["p", "p", "q", "q", "r", "s", "t", "u"]])
def test_pairs_and_ranks_are_those_of_the_cases_values(patients):
    found = compare([method(name, patients=patients) for name in "abc"], targets=["pancreas"])
    assert found.cases == tuple(NAMES)
    assert found.patients == tuple(patients or NAMES)
    assert [(entry.target, entry.metric) for entry in found.metrics] == [("pancreas", "dice"), ("pancreas", "hd95_mm")]
    for entry, values in zip(
        found.metrics,
        (
            {name: [dice(both) for both in column] for name, column in HITS.items()},
            {name: [60.0 - both for both in column] for name, column in HITS.items()},
        ),
        strict=True,
    ):
        for name, column in values.items():
            assert entry.values[name] == pytest.approx(column)
        options = {"higher_is_better": entry.metric == "dice", "resamples": 200, "seed": 0}
        assert list(entry.pairs) == compare_all(entry.values, patients or NAMES, **options)
        assert list(entry.ranks) == rank_methods(entry.values, patients or NAMES, **options)
        assert [rank.name for rank in entry.ranks] == ["a", "b", "c"]


def test_better_is_higher_for_dice_and_lower_for_distances():
    for entry in compare([method("a"), method("b")], targets=["pancreas"]).metrics:
        (pair,) = entry.pairs
        assert (pair.first, pair.second) == ("a", "b")
        assert (pair.wins, pair.losses) == (8, 0)
        assert (pair.mean_difference.mean > 0) == (entry.metric == "dice")
        assert [rank.rank for rank in entry.ranks] == [1, 2]


def test_a_case_that_one_method_lacks_is_left_out_of_what_needs_it():
    found = compare([method("a", left_out=(0, 3)), method("b", left_out=(7,)), method("c")], targets=["pancreas"])
    assert found.cases == tuple(NAMES)
    entry = found.metrics[0]
    assert np.flatnonzero(np.isnan(entry.values["a"])).tolist() == [0, 3]
    assert np.flatnonzero(np.isnan(entry.values["b"])).tolist() == [7]
    assert [pair.pairs for pair in entry.pairs] == [5, 6, 7]
    assert {rank.cases for rank in entry.ranks} == {5}
    both = [n for n in range(8) if n not in (0, 3, 7)]
    for rank in entry.ranks:
        assert rank.mean == pytest.approx(np.mean([dice(HITS[rank.name][n]) for n in both]))


def test_methods_without_a_common_case_are_still_ranked_by_what_they_have():
    found = compare([method("a", left_out=(0, 1, 2, 3)), method("b", left_out=(4, 5, 6, 7))], targets=["pancreas"])
    entry = found.metrics[0]
    assert entry.pairs[0].pairs == 0
    assert math.isnan(entry.pairs[0].wilcoxon_p)
    assert [rank.cases for rank in entry.ranks] == [4, 4]


def two_slices(case: str, *, flip: bool) -> object:
    slices = [(8, 2, 0, 90), (1, 1, 4, 94), (0, 5, 0, 95)]
    return record(case, slices[::-1] if flip else slices, hd95_mm=2.5)


@pytest.mark.parametrize(
    ("headline", "dice", "sensitivity"),
    [
        ("slices_with_target", (16 / 18 + 2 / 7) / 2, 0.6),
        ("all_slices", (16 / 18 + 2 / 7 + 0) / 3, 0.6),
        ("volumes", 18 / 30, 9 / 13),
        ("pooled", 18 / 30, 9 / 13),
    ],
)
def test_a_case_has_the_value_of_the_protocols_headline(headline, dice, sensitivity):
    protocol = Protocol(headline=headline, metrics=("dice", "sensitivity", "hd95_mm"), resamples=100)
    evaluations = [evaluation(name, [two_slices("x", flip=name == "b")], protocol) for name in "ab"]
    found = compare(evaluations, targets=["pancreas"])
    for entry, expected in zip(found.metrics, (dice, sensitivity, 2.5), strict=True):
        assert entry.values == {"a": [pytest.approx(expected)], "b": [pytest.approx(expected)]}


def test_a_case_without_the_target_has_no_slice_mean():
    protocol = Protocol(headline="slices_with_target", metrics=("dice",), resamples=100)
    cases = [record("x", [(0, 3, 0, 97)]), simple("y", 40)]
    found = compare([evaluation(name, cases, protocol) for name in "ab"], targets=["pancreas"])
    assert found.metrics[0].values["a"] == pytest.approx([math.nan, dice(40)], nan_ok=True)


def test_signed_errors_are_neither_tested_nor_ranked():
    protocol = Protocol(metrics=("volume_error", "dice", "volume_error_ml"), resamples=100)
    found = compare([method(name, protocol=protocol) for name in "ab"], targets=["pancreas"])
    assert [entry.metric for entry in found.metrics] == ["dice"]
    protocol = Protocol(metrics=("volume_error",), resamples=100)
    with pytest.raises(DataError, match="signed errors have no best"):
        compare([method(name, protocol=protocol) for name in "ab"], targets=["pancreas"])


def test_one_method_is_no_comparison():
    with pytest.raises(ValueError, match="at least two methods, got 1"):
        compare([method("a")], targets=["pancreas"])


def test_the_worst_cases_come_first():
    found = compare([method("a"), method("c", left_out=(6,))], targets=["pancreas"])
    assert worst_cases(found, "c", target="pancreas", count=3) == ["c4", "c0", "c2"]
    assert worst_cases(found, "a", target="pancreas", count=99) == NAMES
    distances = Protocol(metrics=("hd95_mm",), resamples=100)
    found = compare([method(name, protocol=distances) for name in "ab"], targets=["pancreas"])
    assert worst_cases(found, "a", target="pancreas", count=1) == ["c0"]


def test_each_target_is_compared_by_itself():
    def cases(hits):
        return [record(case, [(both, 0, 50 - both, 50)], tumour=[(50 - both, 0, both, 50)]) for case, both in hits]

    one, other = ([*zip(NAMES, HITS[name], strict=True)] for name in "ab")
    found = compare(
        [evaluation("a", cases(one), FAST), evaluation("b", cases(other), FAST)], targets=["pancreas", "tumour"]
    )
    first = {entry.target: entry.ranks[0].name for entry in found.metrics if entry.metric == "dice"}
    assert first == {"pancreas": "a", "tumour": "b"}
