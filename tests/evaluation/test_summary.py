from dataclasses import astuple

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from mask_cases import FAST, record, simple

from pancascade.evaluation import EmptyRule, Protocol, count_cases, summarise, targets_with_voxels
from pancascade.metrics import RATIOS, Confusion, confusion, confusion_by_slice

SPECIFIED = [(8, 2, 0, 90), (1, 1, 4, 94)]
"""Two slices of the specification."""


def random_cases(seed=3, count=7, *, empty=True):
    random = np.random.default_rng(seed)
    cases = []
    for n in range(count):
        slices = random.integers(0, 9, (random.integers(1, 6), 4))
        if empty:
            slices[0, :3] = 0
            slices[:, (0, 2)] *= n != 2  # a scan without the target
        slices[:, 3] = 100 - slices[:, :3].sum(axis=1)
        distance = None if n == 2 else float(random.random() * 9)
        cases.append(
            record(
                f"c{n}", [tuple(map(int, s)) for s in slices], patient=f"p{n // 2}", hd95_mm=distance, hd_mm=distance
            )
        )
    return cases


@given(arrays(bool, (4, 3, 5), elements=st.booleans()), arrays(bool, (4, 3, 5), elements=st.booleans()))
def test_slices_sum_to_the_whole(one, other):
    slices = confusion_by_slice(one, other)
    assert Confusion.total(slices) == confusion(one, other)
    assert slices == [confusion(one[..., k], other[..., k]) for k in range(5)]
    cut = confusion_by_slice(one, other, slice_voxels=200)
    assert [counts[:3] for counts in cut] == [counts[:3] for counts in slices]
    assert all(sum(counts) == 200 for counts in cut)


def test_the_specified_slices_have_the_specified_means():
    summary = summarise([record("a", SPECIFIED)], FAST)["pancreas"]
    assert summary["slices_with_target"]["dice"].mean == pytest.approx(0.587302, abs=1e-6)
    assert summary["slices_with_target"]["sensitivity"].mean == pytest.approx(0.6)
    for aggregation in ("pooled", "volumes"):
        assert summary[aggregation]["dice"].mean == pytest.approx(0.72)
        assert summary[aggregation]["sensitivity"].mean == pytest.approx(0.692308, abs=1e-6)


def test_slices_of_one_scan_pool_as_slices_of_two_do():
    apart = summarise([record("a", SPECIFIED[:1]), record("b", SPECIFIED[1:])], FAST)["pancreas"]
    assert apart["pooled"]["dice"].mean == pytest.approx(0.72)
    assert apart["volumes"]["dice"].mean == pytest.approx(0.587302, abs=1e-6)


def test_slices_without_the_target_count_only_among_all_slices():
    summary = summarise([record("a", [*SPECIFIED, (0, 0, 0, 100), (0, 3, 0, 97)])], FAST)["pancreas"]
    assert summary["slices_with_target"]["dice"].mean == pytest.approx(0.587302, abs=1e-6)
    every = summary["all_slices"]["dice"]
    assert every.mean == pytest.approx((16 / 18 + 2 / 7 + 1 + 0) / 4)
    assert (every.count, every.left_out) == (4, 0)
    assert (summary["all_slices"]["sensitivity"].count, summary["all_slices"]["sensitivity"].left_out) == (3, 1)


@pytest.mark.parametrize("both", ["one", "zero", "skip"])
def test_means_and_spread_are_numpy_s(both):
    protocol = Protocol(empty=EmptyRule(both=both), resamples=200)
    cases = random_cases()
    worth = {"one": 1, "zero": 0, "skip": np.nan}[both]

    def dice(counts):
        tp, fp, fn, _ = counts
        return 2 * tp / (2 * tp + fp + fn) if tp + fp + fn else worth

    def check(statistic, values):
        known = np.array(values)[~np.isnan(values)]
        assert statistic.mean == pytest.approx(known.mean())
        assert statistic.sd == pytest.approx(known.std(ddof=1))
        assert (statistic.minimum, statistic.maximum) == pytest.approx((known.min(), known.max()))
        assert statistic.median == pytest.approx(np.median(known))
        assert (statistic.count, statistic.left_out) == (len(known), len(values) - len(known))
        assert statistic.low <= statistic.mean <= statistic.high

    summary = summarise(cases, protocol)["pancreas"]
    slices = [counts for case in cases for counts in case.targets["pancreas"].slices]
    check(summary["all_slices"]["dice"], [dice(counts) for counts in slices])
    check(summary["slices_with_target"]["dice"], [dice(counts) for counts in slices if counts[0] + counts[2]])
    check(summary["volumes"]["dice"], [dice(case.targets["pancreas"].total) for case in cases])
    distances = [case.targets["pancreas"].distances_mm.get("hd95_mm") for case in cases]
    check(summary["volumes"]["hd95_mm"], [20.0 if mm is None else mm for mm in distances])


def test_pooled_ratios_are_those_of_the_summed_counts():
    cases = random_cases()
    totals = np.sum([counts for case in cases for counts in case.targets["pancreas"].slices], axis=0)
    pooled = summarise(cases, FAST)["pancreas"]["pooled"]
    for metric, parts in RATIOS.items():
        above, below = parts(*totals)
        assert pooled[metric].mean == pytest.approx(above / below)
        assert (pooled[metric].sd, pooled[metric].median, pooled[metric].left_out) == (None, None, 0)
        assert pooled[metric].count == len(cases)


def test_intervals_are_the_same_for_the_same_seed_and_any_order_of_cases():
    cases = random_cases()
    first = summarise(cases, FAST)
    assert repr(summarise(random_cases(), FAST)) == repr(first)  # NaN is not equal to itself
    other = summarise(cases, FAST.model_copy(update={"seed": 1}))
    assert other["pancreas"]["volumes"]["dice"].low != first["pancreas"]["volumes"]["dice"].low
    assert other["pancreas"]["volumes"]["dice"].mean == first["pancreas"]["volumes"]["dice"].mean
    backwards = summarise(cases[::-1], FAST)["pancreas"]["volumes"]["dice"]
    assert astuple(backwards) == pytest.approx(astuple(first["pancreas"]["volumes"]["dice"]))


def test_scans_of_one_patient_have_no_interval():
    """No resample differs from the data, and a width of zero would look sure."""
    cases = [simple(f"c{n}", both, patient="p") for n, both in enumerate((10, 30, 50))]
    for aggregation in summarise(cases, FAST)["pancreas"].values():
        statistic = aggregation["dice"]
        assert not np.isnan(statistic.mean)
        assert np.isnan([statistic.low, statistic.high]).all()
    alone = [case.model_copy(update={"patient": case.case}) for case in cases]
    statistic = summarise(alone, FAST)["pancreas"]["volumes"]["dice"]
    assert statistic.low < statistic.mean < statistic.high


def test_the_interval_of_two_patients_weighs_their_scans():
    """Three scans of Dice 0 and one of 1: both, only the first, or only the second patient is drawn."""
    cases = [simple(f"c{n}", 0, patient="p") for n in range(3)] + [simple("d", 50)]
    statistic = summarise(cases, FAST)["pancreas"]["volumes"]["dice"]
    assert (statistic.mean, statistic.low, statistic.high) == (0.25, 0, 1)


def test_a_number_that_one_patient_alone_has_has_no_interval():
    nothing = [(0, 0, 0, 100)]
    cases = [record("a", [(5, 0, 0, 95)], tumour=[(3, 1, 0, 96)]), record("b", [(4, 1, 0, 95)], tumour=nothing)]
    skipping = Protocol(empty=EmptyRule(both="skip"), resamples=100)
    summary = summarise(cases, skipping)
    for aggregation in ("slices_with_target", "pooled", "volumes"):
        assert np.isnan(summary["tumour"][aggregation]["dice"].low)
        assert summary["pancreas"][aggregation]["dice"].low < summary["pancreas"][aggregation]["dice"].high


def test_one_case_has_no_deviation():
    statistic = summarise([simple("a", 30)], FAST)["pancreas"]["volumes"]["dice"]
    assert statistic.sd is None
    assert (statistic.minimum, statistic.median, statistic.maximum) == (0.75,) * 3


def test_a_target_that_nobody_shows_is_left_out():
    nothing = [(0, 0, 0, 100)]
    cases = [record("a", [(5, 0, 0, 95)], tumour=nothing), record("b", nothing, tumour=nothing)]
    assert targets_with_voxels(cases) == ["pancreas"]
    assert list(summarise(cases, FAST)) == ["pancreas"]
    assert list(summarise(cases, FAST, targets=["tumour"])) == ["tumour"]
    cases[1] = record("b", nothing, tumour=[(0, 1, 0, 99)])
    assert targets_with_voxels(cases) == ["pancreas", "tumour"]


def test_where_no_case_has_a_value_there_is_none():
    nothing = [record("a", [(0, 0, 0, 100)]), record("b", [(0, 0, 0, 100)])]
    summary = summarise(nothing, Protocol(empty=EmptyRule(both="skip"), resamples=100))["pancreas"]
    for aggregation in ("slices_with_target", "all_slices", "volumes"):
        statistic = summary[aggregation]["dice"]
        assert np.isnan([statistic.mean, statistic.low, statistic.high]).all()
        assert (statistic.count, statistic.sd) == (0, None)
    assert summary["volumes"]["dice"].left_out == 2
    assert summary["slices_with_target"]["dice"].left_out == 0
    assert list(summary["pooled"]) == ["specificity"]


def test_volume_errors_are_for_scans_and_not_for_slices():
    summary = summarise([record("a", SPECIFIED)], FAST)["pancreas"]
    assert "volume_error" not in summary["all_slices"]
    assert "volume_error" not in summary["slices_with_target"]
    assert summary["volumes"]["volume_error"].mean == pytest.approx((3 - 4) / 13)


def test_nothing_to_summarise_is_refused():
    with pytest.raises(ValueError, match="no case"):
        summarise([], FAST)


def test_cases_are_counted_by_what_they_hold():
    cases = [
        record("a", [(5, 0, 0, 95)], patient="p"),
        record("b", [(0, 0, 5, 95)], patient="p"),
        record("c", [(0, 5, 0, 95)]),
        record("d", [(0, 0, 0, 100)]),
    ]
    assert astuple(count_cases(cases, "pancreas")) == (4, 3, 2, 1, 1)
