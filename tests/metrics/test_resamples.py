from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from pancascade.metrics import bootstrap
from pancascade.metrics.bootstrap import Interval, Resamples, patient_bootstrap

NAN, INF = float("nan"), float("inf")
PATIENTS = ["b", "a", "c", "a", "d", "c", "c"]
VALUES = [0.9, 0.2, 0.8, 0.4, NAN, 0.5, 0.1]
ABOVE, BELOW = [8, 2, 0, 6, 4, 10, 0], [10, 8, 6, 9, 4, 20, 0]


def chosen_cases(drawn: Resamples, patients: list[str]) -> list[list[int]]:
    """The cases of each resample, written out one by one."""
    names = sorted(set(patients))
    return [
        [case for place in row for case, patient in enumerate(patients) if patient == names[place]]
        for row in drawn.drawn.tolist()
    ]


def by_hand(draws: list[list[str]], patients: list[str]) -> Resamples:
    names = sorted(set(patients))
    return Resamples(
        np.array([[names.index(name) for name in draw] for draw in draws]),
        np.array([names.index(patient) for patient in patients]),
    )


def test_a_mean_takes_the_cases_of_a_patient_as_often_as_it_is_drawn():
    drawn = by_hand([["a", "b"], ["a", "a"], ["b", "b"]], ["a", "a", "b"])
    assert drawn.of_ratio([1.0, 3.0, 8.0]).tolist() == [4.0, 2.0, 8.0]


def test_pooled_dice_sums_the_counts_before_it_divides():
    drawn = by_hand([["a", "b"], ["a", "a"], ["b", "b"]], ["a", "a", "b"])
    assert drawn.of_ratio([2, 4, 9], [4, 8, 12]) == pytest.approx([15 / 24, 0.5, 0.75])


def test_a_resample_without_denominator_has_no_ratio():
    drawn = by_hand([["a", "b"], ["a", "a"]], ["a", "b"])
    assert drawn.of_ratio([1, 3], [0, 2]) == pytest.approx([2.0, NAN], nan_ok=True)
    assert drawn.of_ratio([NAN, 3]) == pytest.approx([3.0, NAN], nan_ok=True)


def test_a_case_with_nan_on_either_side_counts_in_neither_sum():
    drawn = Resamples.draw(PATIENTS, resamples=50)
    kept = [0, 2, 3, 5, 6]
    with_nan = drawn.of_ratio([8, NAN, 0, 6, 4, 10, 0], [10, 8, 6, 9, NAN, 20, 0])
    without = Resamples(drawn.drawn, drawn.patient_of_case[kept]).of_ratio(np.array(ABOVE)[kept], np.array(BELOW)[kept])
    assert with_nan == pytest.approx(without, nan_ok=True)


def test_ratios_equal_a_plain_loop_over_the_resamples():
    drawn = Resamples.draw(PATIENTS, resamples=1000, seed=4)
    loop = [sum(ABOVE[i] for i in cases) / sum(BELOW[i] for i in cases) for cases in chosen_cases(drawn, PATIENTS)]
    assert drawn.of_ratio(ABOVE, BELOW) == pytest.approx(loop)
    means = [np.nanmean([VALUES[i] for i in cases]) for cases in chosen_cases(drawn, PATIENTS) if set(cases) != {4}]
    sampled = drawn.of_ratio(VALUES)
    assert sampled[~np.isnan(sampled)] == pytest.approx(means)
    assert np.isnan(sampled).sum() == 1000 - len(means) > 0


def test_case_weights_count_the_cases_that_a_plain_loop_chooses():
    drawn = Resamples.draw(PATIENTS, resamples=200, seed=1)
    counts = [Counter(cases) for cases in chosen_cases(drawn, PATIENTS)]
    assert drawn.case_weights().tolist() == [[count[case] for case in range(len(PATIENTS))] for count in counts]


def test_every_resample_has_as_many_patients_as_there_are():
    drawn = Resamples.draw(PATIENTS, resamples=100)
    assert drawn.multiplicities.shape == (100, 4)
    assert set(drawn.multiplicities.sum(axis=1).tolist()) == {4}
    assert drawn.multiplicities.mean(axis=0) == pytest.approx([1] * 4, abs=0.4)


@pytest.mark.parametrize("q", [0.0, 0.05, 0.25, 0.5, 0.9, 1.0])
def test_quantiles_are_those_of_the_cases_written_out(q):
    drawn = Resamples.draw(PATIENTS, resamples=300, seed=2)
    loop = [
        np.quantile(numbers, q) if (numbers := [VALUES[i] for i in cases if i != 4]) else NAN
        for cases in chosen_cases(drawn, PATIENTS)
    ]
    assert np.isnan(loop).any()
    assert drawn.quantile(VALUES, q) == pytest.approx(loop, nan_ok=True)


def test_the_median_of_a_resample_is_checked_by_hand():
    drawn = by_hand([["a", "b", "c"], ["a", "a", "b"], ["c", "c", "c"]], ["a", "b", "b", "c"])
    assert drawn.median([1, 2, 3, 10]).tolist() == [2.5, 1.5, 10.0]


def test_the_median_stays_finite_beside_a_few_infinite_distances():
    drawn = by_hand([["a", "b", "c"], ["c", "c", "a"], ["a", "b", "b"]], ["a", "b", "c"])
    assert drawn.median([1, 2, INF]).tolist() == [2.0, INF, 2.0]
    assert drawn.quantile([1, 2, INF], 0.75).tolist() == [INF, INF, 2.0]


def test_no_value_has_no_median():
    assert np.isnan(Resamples.draw(["a", "b"], resamples=3).median([NAN, NAN])).all()


@pytest.mark.parametrize("statistic", ["ratio", "median", "weights"])
def test_the_size_of_a_chunk_does_not_change_a_bit(statistic, monkeypatch):
    patients = [str(i % 40) for i in range(100)]
    values = np.random.default_rng(0).random(100)

    def compute() -> np.ndarray:
        drawn = Resamples.draw(patients, resamples=333)
        return {"ratio": drawn.of_ratio, "median": drawn.median, "weights": lambda _: drawn.case_weights()}[statistic](
            values
        )

    whole = compute()
    monkeypatch.setattr(bootstrap, "_CHUNK", 900)
    assert np.array_equal(compute(), whole)
    assert not np.isnan(whole).any()


def test_patient_bootstrap_is_the_ratio_with_denominators_one():
    drawn = Resamples.draw([p for p in PATIENTS if p != "d"], resamples=400, seed=7)
    values = [v for v in VALUES if not np.isnan(v)]
    interval = drawn.interval(np.mean(values), drawn.of_ratio(values))
    assert patient_bootstrap(VALUES, PATIENTS, resamples=400, seed=7) == pytest.approx(interval)
    assert drawn.ratio_interval(values) == pytest.approx(interval)


def test_limits_are_percentiles_of_the_samples_that_are_numbers():
    samples = [*range(101), NAN, NAN]
    assert Resamples.interval(49, samples) == Interval(49.0, 2.5, 97.5)


def test_limits_among_infinite_samples_are_samples_themselves():
    assert Resamples.interval(3, [1.0] * 50 + [2.0] * 47 + [INF] * 3) == Interval(3.0, 1.0, INF)
    assert Resamples.interval(3, [1.0] * 50 + [2.0] * 49 + [INF]) == Interval(3.0, 1.0, 2.0)


def test_samples_without_a_number_have_no_limits():
    point, low, high = Resamples.interval(0.5, [NAN, NAN])
    assert point == 0.5
    assert np.isnan([low, high]).all()


def test_limits_agree_with_scipys_bootstrap_of_the_mean_the_median_and_a_ratio():
    random = np.random.default_rng(3)
    below = random.gamma(4, 1, 60)
    above = below * random.beta(8, 2, 60)
    drawn = Resamples.draw([str(i) for i in range(60)], resamples=20_000)
    ours = [drawn.of_ratio(above), drawn.median(above), drawn.of_ratio(above, below)]
    theirs = [
        stats.bootstrap(
            data, function, paired=True, vectorized=True, method="percentile", n_resamples=20_000, rng=5
        ).confidence_interval
        for data, function in [
            ((above,), np.mean),
            ((above,), np.median),
            ((above, below), lambda a, b, axis: a.sum(axis) / b.sum(axis)),
        ]
    ]
    for samples, (low, high) in zip(ours, theirs, strict=True):
        limits = Resamples.interval(0, samples)[1:]
        assert limits == pytest.approx((low, high), abs=0.04 * (high - low))


def test_the_interval_covers_the_truth_where_cases_of_a_patient_are_alike():
    random = np.random.default_rng(0)
    patients = [str(i // 4) for i in range(120)]
    covered = Counter()
    for seed in range(300):
        values = random.normal(0.7, 0.1, 30).repeat(4) + random.normal(0, 0.02, 120)
        for unit, owners in {"patient": patients, "case": [str(i) for i in range(120)]}.items():
            _, low, high = Resamples.draw(owners, resamples=400, seed=seed).ratio_interval(values)
            covered[unit] += low <= 0.7 <= high
    assert 0.90 <= covered["patient"] / 300 <= 0.98
    assert covered["case"] / 300 < 0.75


@settings(max_examples=60)
@given(
    cases=st.lists(st.tuples(st.integers(0, 5), st.integers(0, 1000)), min_size=1, max_size=20), shuffled=st.randoms()
)
def test_the_order_of_the_cases_changes_nothing(cases, shuffled):
    turned = shuffled.sample(cases, len(cases))
    results = []
    for order in (cases, turned):
        drawn = Resamples.draw([f"p{patient}" for patient, _ in order], resamples=40)
        values = [value / 1000 for _, value in order]
        results.append([*drawn.of_ratio(values), *drawn.median(values), *drawn.ratio_interval(values)])
    assert results[1] == pytest.approx(results[0], nan_ok=True)


@settings(max_examples=60)
@given(values=st.lists(st.floats(0, 1, allow_nan=False, width=32), min_size=3, max_size=30))
def test_the_interval_contains_its_point_and_stays_within_the_data(values):
    mean, low, high = Resamples.draw([str(i) for i in range(len(values))], resamples=500).ratio_interval(values)
    slack = 1e-12
    assert min(values) - slack <= low <= mean + slack
    assert mean - slack <= high <= max(values) + slack


def test_wrong_arguments_are_refused():
    drawn = Resamples.draw(["a", "b"], resamples=2)
    with pytest.raises(ValueError, match=r"numerators has shape \(3,\); expected \(2,\)"):
        drawn.of_ratio([1, 2, 3])
    with pytest.raises(ValueError, match=r"denominators has shape \(1,\)"):
        drawn.of_ratio([1, 2], [1])
    with pytest.raises(ValueError, match=r"values has shape"):
        drawn.median([1])
    with pytest.raises(ValueError, match=r"q is 50"):
        drawn.quantile([1, 2], 50)
    with pytest.raises(ValueError, match="no patient"):
        Resamples.draw([])
    with pytest.raises(ValueError, match="resamples is 0"):
        Resamples.draw(["a"], resamples=0)
