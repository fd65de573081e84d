import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import rankdata

from pancascade.metrics.bootstrap import Resamples
from pancascade.metrics.ranking import MethodRank, rank_methods
from work_done import calls_of

NAN, INF = float("nan"), float("inf")


def names(count: int) -> list[str]:
    return [f"p{i:03}" for i in range(count)]


def by_name(values, patients=None, **options) -> dict[str, MethodRank]:
    cases = len(next(iter(values.values())))
    options = {"higher_is_better": True, "resamples": 200, **options}
    return {method.name: method for method in rank_methods(values, patients or names(cases), **options)}


def test_ranks_of_means_are_checked_by_hand():
    found = by_name({"low": [0.1, 0.2, 0.3], "high": [0.9, 0.8, 0.7], "middle": [0.5, 0.5, 0.5]})
    assert list(found) == ["high", "middle", "low"]
    assert [method.rank for method in found.values()] == [1, 2, 3]
    assert [method.mean for method in found.values()] == pytest.approx([0.8, 0.5, 0.2])
    for method in found.values():
        assert method.rank_low == method.rank_median == method.rank_high == method.mean_case_rank == method.rank
    assert [method.first_share for method in found.values()] == [1, 0, 0]


def test_lower_is_better_turns_the_ranks_round():
    values = {"near": [1.0, 2.0], "far": [5.0, 9.0]}
    assert [m.rank for m in rank_methods(values, names(2), higher_is_better=False, resamples=9)] == [1, 2]
    assert list(by_name(values, higher_is_better=False)) == ["near", "far"]
    assert list(by_name(values)) == ["far", "near"]


def test_methods_that_tie_share_the_average_rank_and_the_first_place():
    found = by_name({"c": [0.1, 0.1], "a": [0.5, 0.7], "b": [0.5, 0.7]})
    assert [found[name].rank for name in "abc"] == [1.5, 1.5, 3]
    assert [found[name].first_share for name in "abc"] == [0.5, 0.5, 0]
    assert list(found) == ["a", "b", "c"]


def test_means_that_tie_on_paper_tie():
    values = {"a": [0.1, 0.2, 0.3], "b": [0.3, 0.2, 0.1], "c": [0.2, 0.1, 0.3]}
    found = by_name({name: 2 * numbers for name, numbers in values.items()}, [*"xxxyyy"])
    assert len({sum(v) for v in ([0.1, 0.2, 0.3], [0.3, 0.2, 0.1])}) == 2
    assert {method.rank for method in found.values()} == {2.0}
    assert [method.first_share for method in found.values()] == pytest.approx([1 / 3] * 3)


def test_the_two_ways_of_ranking_may_disagree():
    found = by_name({"steady": [0.6, 0.6, 0.6], "mostly": [0.7, 0.7, 0.0]})
    assert (found["steady"].rank, found["mostly"].rank) == (1, 2)
    assert found["steady"].mean_case_rank == pytest.approx((2 + 2 + 1) / 3)
    assert found["mostly"].mean_case_rank == pytest.approx((1 + 1 + 2) / 3)


def test_a_missing_value_ranks_last_in_its_case_and_is_left_out_of_the_mean():
    found = by_name({"a": [0.9, NAN, 0.9], "b": [0.5, 0.1, 0.5], "c": [0.6, NAN, 0.2]})
    assert found["a"].mean == pytest.approx(0.9)
    assert (found["a"].cases, found["b"].cases, found["c"].cases) == (2, 3, 2)
    assert found["a"].mean_case_rank == pytest.approx((1 + 2.5 + 1) / 3)
    assert found["b"].mean_case_rank == pytest.approx((3 + 1 + 2) / 3)
    assert found["c"].mean_case_rank == pytest.approx((2 + 2.5 + 3) / 3)


@pytest.mark.parametrize("higher", [True, False])
def test_a_method_without_values_is_last(higher):
    found = by_name({"none": [NAN, NAN], "bad": [0.1, 9.0], "good": [0.2, 9.5]}, higher_is_better=higher)
    assert found["none"].rank == found["none"].rank_low == found["none"].mean_case_rank == 3
    assert np.isnan(found["none"].mean)
    assert found["none"].first_share == 0


def test_an_infinite_distance_is_as_bad_as_no_value():
    found = by_name({"a": [INF, 1.0], "b": [NAN, 2.0], "c": [3.0, 3.0]}, higher_is_better=False)
    assert [found[name].mean_case_rank for name in "abc"] == pytest.approx([1.75, 2.25, 2.0])
    assert [found[name].rank for name in "abc"] == [3, 1, 2]


def test_a_case_without_any_value_ranks_nobody():
    found = by_name({"a": [0.9, NAN], "b": [0.5, NAN]})
    assert (found["a"].mean_case_rank, found["b"].mean_case_rank) == (1, 2)
    nothing = by_name({"a": [NAN], "b": [NAN]})
    assert np.isnan(nothing["a"].mean_case_rank)
    assert nothing["a"].rank == 1.5


def test_everything_equals_a_plain_loop_over_the_resamples():
    random = np.random.default_rng(6)
    patients = [f"p{i % 7}" for i in range(18)]
    table = np.round(random.random((18, 4)), 1)
    table[random.random((18, 4)) < 0.1] = NAN
    found = by_name(dict(zip("abcd", table.T.tolist(), strict=True)), patients, resamples=250, seed=3)
    order, ranks, first = sorted(set(patients)), [], np.zeros(4)
    for row in Resamples.draw(patients, resamples=250, seed=3).drawn:
        cases = [i for place in row for i, patient in enumerate(patients) if patient == order[place]]
        ranks.append(rankdata(-np.round(np.nanmean(table[cases], axis=0), 10)))
        winners = ranks[-1] == ranks[-1].min()
        first += winners / winners.sum() / 250
    low, median, high = np.percentile(ranks, [2.5, 50, 97.5], axis=0)
    for column, name in enumerate("abcd"):
        method = found[name]
        assert (method.rank_low, method.rank_median, method.rank_high) == (low[column], median[column], high[column])
        assert method.first_share == pytest.approx(first[column])
        assert method.rank == rankdata(-np.nanmean(table, axis=0))[column]
    in_cases = rankdata(np.where(np.isnan(table), 2.0, -table), axis=1)
    assert [found[name].mean_case_rank for name in "abcd"] == pytest.approx(in_cases.mean(axis=0))
    assert 0 < found["a"].first_share < 1


def test_close_methods_have_wide_ranks_and_distant_ones_narrow():
    random = np.random.default_rng(0)
    scores = {name: random.normal(mean, 0.1, 50) for name, mean in [("a", 0.8), ("b", 0.8), ("c", 0.8), ("z", 0.3)]}
    found = by_name(scores, resamples=1000)
    assert found["z"].rank_low == found["z"].rank_high == 4
    assert min(found[name].rank_high - found[name].rank_low for name in "abc") >= 1


@settings(max_examples=50)
@given(
    table=st.lists(st.lists(st.integers(0, 100), min_size=3, max_size=3), min_size=3, max_size=15),
    constant=st.integers(1, 120),
    higher=st.booleans(),
)
def test_a_constant_in_its_favour_never_worsens_a_method(table, constant, higher):
    values = {name: [row[i] / 100 for row in table] for i, name in enumerate("abc")}
    patients = [f"p{i // 2}" for i in range(len(table))]
    step = constant / 100 if higher else -constant / 100
    raised = {**values, "b": [value + step for value in values["b"]]}
    before, after = (by_name(v, patients, higher_is_better=higher, resamples=60)["b"] for v in (values, raised))
    for name in ("rank", "rank_low", "rank_median", "rank_high", "mean_case_rank"):
        assert getattr(after, name) <= getattr(before, name) + 1e-12
    assert after.first_share >= before.first_share - 1e-12
    assert after.mean == pytest.approx(before.mean + step)


@settings(max_examples=50)
@given(
    rows=st.lists(
        st.tuples(st.sampled_from("uvwxyz"), *(st.one_of(st.integers(0, 30), st.just(NAN)) for _ in "abc")),
        min_size=1,
        max_size=15,
    ),
    shuffled=st.randoms(),
)
def test_the_order_of_the_cases_changes_no_rank(rows, shuffled):
    results = []
    for order in (rows, shuffled.sample(rows, len(rows))):
        values = {name: [row[i] / 30 for row in order] for i, name in enumerate("abc", start=1)}
        found = by_name(values, [row[0] for row in order], resamples=40)
        results.append([number for name in "abc" for number in vars(found[name]).values() if number != name])
    assert results[1] == pytest.approx(results[0], nan_ok=True)
    ranks, shares = results[0][2::8], results[0][6::8]
    assert sum(ranks) == pytest.approx(6)
    if len({row[0] for row in rows}) > 1:
        assert sum(shares) == pytest.approx(1)


def test_resamples_cost_no_calls_and_each_method_the_same():
    random = np.random.default_rng(0)

    def calls(methods, *, resamples):
        values = {f"m{i}": random.random(100).tolist() for i in range(methods)}
        return calls_of(lambda: rank_methods(values, names(100), higher_is_better=True, resamples=resamples))

    calls(2, resamples=10)  # imports what it needs
    # Collected garbage may call a few more.
    assert calls(5, resamples=10_000) == pytest.approx(calls(5, resamples=100), abs=20)
    five, twenty, thirty_five = (calls(methods, resamples=100) for methods in (5, 20, 35))
    assert thirty_five - twenty == pytest.approx(twenty - five, abs=20)


def test_what_cannot_be_ranked_is_refused():
    with pytest.raises(ValueError, match="no method"):
        rank_methods({}, ["a"], higher_is_better=True)
    with pytest.raises(ValueError, match=r"unet has 1 values for 2 cases"):
        rank_methods({"ours": [1.0, 2.0], "unet": [1.0]}, ["a", "b"], higher_is_better=True)
    with pytest.raises(ValueError, match="no patient"):
        rank_methods({"ours": []}, [], higher_is_better=True)


def test_one_patient_ranks_methods_without_an_interval():
    found = by_name({"a": [0.9, 0.8], "b": [0.5, 0.6]}, ["p", "p"])
    assert (found["a"].rank, found["b"].rank) == (1, 2)
    for method in found.values():
        assert np.isnan([method.rank_low, method.rank_median, method.rank_high, method.first_share]).all()
