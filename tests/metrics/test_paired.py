from dataclasses import astuple, replace
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from pancascade.metrics.bootstrap import patient_bootstrap
from pancascade.metrics.paired import PairedComparison, compare_all, compare_pair, holm

NAN, INF = float("nan"), float("inf")


def names(count: int) -> list[str]:
    return [f"p{i:03}" for i in range(count)]


def compare(first, second, patients=None, **options) -> PairedComparison:
    return compare_pair(first, second, patients=patients or names(len(first)), resamples=300, **options)


def flat(comparison: PairedComparison) -> list[float]:
    return [*comparison.mean_difference, *astuple(replace(comparison, mean_difference=0))[2:]]


# Differences +1, +2, +3, −4, 0: ranks 1, 2, 3 above zero and 4 below.
FIRST, SECOND = [11, 12, 13, 6, 10], [10, 10, 10, 10, 10]


def test_a_small_comparison_is_checked_by_hand():
    found = compare(FIRST, SECOND)
    assert (found.pairs, found.patients) == (5, 5)
    assert (found.wins, found.ties, found.losses) == (3, 1, 1)
    assert found.mean_difference.mean == pytest.approx(0.4)
    assert found.median_difference == 1.0
    assert found.rank_biserial == pytest.approx((6 - 4) / 10)
    assert found.cohens_dz == pytest.approx(0.4 / np.sqrt(29.2 / 4))
    assert np.isnan(found.holm_p)


def test_the_p_value_of_a_small_comparison_counts_the_signs_that_are_as_extreme():
    found = compare(FIRST, SECOND)
    sums = [
        sum(rank for rank, sign in zip((1, 2, 3, 4), signs, strict=True) if sign) for signs in product((0, 1), repeat=4)
    ]
    share = min(np.mean([s >= 6 for s in sums]), np.mean([s <= 6 for s in sums]))
    assert found.wilcoxon_p == pytest.approx(min(1.0, 2 * share))


def test_lower_may_be_better():
    found, distances = compare(FIRST, SECOND), compare(FIRST, SECOND, higher_is_better=False)
    assert (distances.wins, distances.ties, distances.losses) == (1, 1, 3)
    assert distances.mean_difference == found.mean_difference
    assert distances.rank_biserial == found.rank_biserial


@pytest.mark.parametrize("count", [6, 12, 30, 50, 80])
def test_the_p_value_is_scipys(count):
    random = np.random.default_rng(count)
    first, second = random.random(count), random.random(count) + 0.1
    assert compare(first, second).wilcoxon_p == pytest.approx(stats.wilcoxon(first, second).pvalue)


@pytest.mark.parametrize("count", [2, 5, 13, 14, 40, 90])
def test_the_p_value_with_ties_and_zeros_is_scipys(count):
    differences = np.random.default_rng(count).integers(-2, 4, count).astype(float)
    differences[:2] = 0, 1
    expected = stats.wilcoxon(differences, zero_method="wilcox").pvalue
    assert compare(differences, np.zeros(count)).wilcoxon_p == pytest.approx(expected)


def test_a_patient_with_many_cases_is_tested_once():
    first, second = [0.9, 0.7, 0.8, 0.5, 0.6], [0.6, 0.6, 0.5, 0.1, 0.7]
    many = compare([*first, 0.9, 0.4], [*second, 0.8, 0.2], patients=["a", "b", "c", "d", "e", "b", "b"])
    means = [0.3, (0.1 + 0.1 + 0.2) / 3, 0.3, 0.4, -0.1]
    assert (many.pairs, many.patients) == (7, 5)
    assert many.wilcoxon_p == pytest.approx(stats.wilcoxon(np.round(means, 9)).pvalue)
    assert many.cohens_dz == pytest.approx(np.mean(means) / np.std(means, ddof=1))
    assert many.mean_difference.mean == pytest.approx((0.3 + 0.1 + 0.3 + 0.4 - 0.1 + 0.1 + 0.2) / 7)
    assert many.wins == 6


def test_copies_of_the_cases_do_not_make_the_p_value_smaller():
    random = np.random.default_rng(2)
    first, second, patients = random.random(10), random.random(10), names(10)
    once, often = compare(first, second, patients), compare(np.tile(first, 9), np.tile(second, 9), patients * 9)
    assert often.wilcoxon_p == pytest.approx(once.wilcoxon_p)
    assert often.mean_difference == pytest.approx(once.mean_difference)
    assert often.pairs == 90


def test_the_interval_is_the_patient_bootstrap_of_the_differences():
    random = np.random.default_rng(0)
    first, second, patients = random.random(20), random.random(20), names(7) * 3
    second[4] = NAN
    expected = patient_bootstrap((first - second).tolist(), patients[:20], resamples=300)
    assert compare(first, second, patients[:20]).mean_difference == expected


def test_a_case_that_one_method_lacks_is_left_out_and_not_counted():
    whole = compare([0.5, 0.6, 0.7, 0.9], [0.4, 0.8, 0.4, 0.5])
    partial = compare([0.5, NAN, 0.6, 0.7, 0.3, 0.9], [0.4, 0.2, 0.8, 0.4, NAN, 0.5])
    assert partial.pairs == 4
    assert flat(partial) == pytest.approx(flat(whole), nan_ok=True)


def test_equal_methods_do_not_differ():
    found = compare([0.1, 0.2, 0.3], [0.1, 0.2, 0.3])
    assert (found.wilcoxon_p, found.rank_biserial, found.cohens_dz, found.ties) == (1.0, 0.0, 0.0, 3)
    assert tuple(found.mean_difference) == (0.0, 0.0, 0.0)


def test_differences_that_are_equal_on_paper_are_equal():
    found = compare([0.3, 0.2, 0.8], [0.2, 0.1, 0.7])  # 0.3 − 0.2 is not 0.2 − 0.1 in floating point
    assert np.isnan(found.cohens_dz)
    third = compare([0.1 + 0.2, 0.5], [0.3, 0.4])
    assert (third.wins, third.ties) == (1, 1)


def test_one_pair_has_no_spread_but_a_difference():
    found = compare([0.8], [0.5])
    assert found.wilcoxon_p == found.rank_biserial == 1.0
    assert np.isnan(found.cohens_dz)
    mean, low, high = found.mean_difference
    assert mean == pytest.approx(0.3)
    assert np.isnan((low, high)).all()


@pytest.mark.parametrize("first", [[], [NAN, 1.0]])
def test_no_pair_tells_nothing(first):
    found = compare(first, [0.5, NAN][: len(first)])
    assert (found.pairs, found.patients, found.wins, found.ties, found.losses) == (0, 0, 0, 0, 0)
    statistics = [found.wilcoxon_p, found.rank_biserial, found.cohens_dz, found.median_difference]
    assert np.isnan([*statistics, *found.mean_difference]).all()


def test_values_that_cannot_be_compared_are_refused():
    with pytest.raises(ValueError, match=r"second: the value of case 1 is infinite"):
        compare([1.0, 2.0], [1.0, INF])
    with pytest.raises(ValueError, match=r"unet has shape \(1,\); expected \(2,\)"):
        compare([1.0, 2.0], [1.0], names=("ours", "unet"))


@settings(max_examples=60)
@given(
    rows=st.lists(
        st.tuples(st.integers(0, 20), st.integers(0, 20), st.sampled_from("abcdefgh")), min_size=1, max_size=25
    ),
    better=st.booleans(),
)
def test_swapping_the_methods_mirrors_the_comparison(rows, better):
    first, second, patients = ([row[i] for row in rows] for i in range(3))
    one = compare([v / 20 for v in first], [v / 20 for v in second], patients, higher_is_better=better)
    other = compare([v / 20 for v in second], [v / 20 for v in first], patients, higher_is_better=better)
    assert flat(one.swapped()) == pytest.approx(flat(other), nan_ok=True, abs=1e-12)
    assert flat(one.swapped().swapped()) == pytest.approx(flat(one), nan_ok=True)
    assert (one.swapped().first, one.swapped().second) == ("second", "first")


@settings(max_examples=60)
@given(
    rows=st.lists(
        st.tuples(st.integers(0, 20), st.integers(0, 20), st.sampled_from("abcdefgh")), min_size=1, max_size=25
    ),
    shuffled=st.randoms(),
)
def test_the_order_of_the_cases_changes_no_comparison(rows, shuffled):
    turned = shuffled.sample(rows, len(rows))
    results = [flat(compare(*([row[i] for row in order] for i in range(3)))) for order in (rows, turned)]
    assert results[1] == pytest.approx(results[0], nan_ok=True, abs=1e-12)


def test_holm_adjusts_the_example_by_hand():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])


def test_holm_does_not_count_what_was_not_tested():
    assert holm([0.01, NAN, 0.04, 0.03, NAN, 0.005]) == pytest.approx([0.03, NAN, 0.06, 0.06, NAN, 0.02], nan_ok=True)
    assert holm([]) == []


def test_holm_stays_at_most_one():
    assert holm([0.7, 0.6, 0.9]) == [1.0, 1.0, 1.0]


def rejected(p_values: list[float], level: float) -> set[int]:
    """Holm's step-down test itself: go up the p-values, stop at the first above level / (tests left)."""
    found: set[int] = set()
    for index in sorted(range(len(p_values)), key=p_values.__getitem__):
        if p_values[index] > level / (len(p_values) - len(found)):
            break
        found.add(index)
    return found


@given(p_values=st.lists(st.integers(0, 1000).map(lambda n: n / 1000), min_size=1, max_size=12))
def test_the_adjusted_p_value_is_the_least_level_at_which_the_step_down_test_rejects(p_values):
    for index, adjusted in enumerate(holm(p_values)):
        assert adjusted >= p_values[index]
        assert index not in rejected(p_values, adjusted - 1e-9)
        if adjusted < 1:
            assert index in rejected(p_values, adjusted + 1e-9)


def test_all_pairs_of_methods_are_compared_once_and_adjusted_together():
    random = np.random.default_rng(1)
    values = {name: random.random(15) + shift for name, shift in [("a", 0), ("b", 0.2), ("c", 0.9)]}
    found = compare_all(values, names(15), resamples=100)
    assert [(c.first, c.second) for c in found] == [("a", "b"), ("a", "c"), ("b", "c")]
    assert [c.holm_p for c in found] == holm([c.wilcoxon_p for c in found])
    assert all(c.holm_p >= c.wilcoxon_p for c in found)
    assert found[1].wilcoxon_p < found[1].holm_p < 0.01
    alone = compare_pair(values["a"], values["c"], patients=names(15), names=("a", "c"), resamples=100)
    assert replace(found[1], holm_p=0.0) == replace(alone, holm_p=0.0)


def test_a_method_without_values_leaves_the_family_of_the_others_as_it_is():
    random = np.random.default_rng(1)
    values = {name: random.random(12).tolist() for name in "ab"}
    found = compare_all({**values, "empty": [NAN] * 12}, names(12), resamples=50)
    assert found[0].holm_p == found[0].wilcoxon_p
    assert np.isnan([c.holm_p for c in found[1:]]).all()
    assert [c.pairs for c in found] == [12, 0, 0]


def test_the_test_errs_as_seldom_as_it_says_where_cases_of_a_patient_are_alike():
    random = np.random.default_rng(0)
    patients = names(12) * 5
    wrong = {"patients": 0.0, "cases": 0.0}
    for _ in range(300):
        difference = np.tile(random.normal(0, 1, 12), 5) + random.normal(0, 0.2, 60)  # no method is better
        found = compare_pair(difference, np.zeros(60), patients=patients, resamples=1)
        wrong["patients"] += (found.wilcoxon_p < 0.05) / 300
        wrong["cases"] += (stats.wilcoxon(difference).pvalue < 0.05) / 300
    assert 0.02 < wrong["patients"] < 0.08
    assert wrong["cases"] > 0.3
