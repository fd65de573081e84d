"""What stage 1's probability map is worth, and where else is looked."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pancascade.inference.localization.search_region import (
    CONFIDENT,
    ORDINARY_PANCREAS_ML,
    POSITION,
    WIDER_THRESHOLD,
    Stage1Result,
    best_candidate,
    score_plausibility,
    select_search_region,
    widened,
)
from pancascade.inference.pipeline.result_warnings import AGAINST, location_notices
from pancascade.results.location import Location

SHAPE = (30, 60, 80)
SPACING_MM = (4.0, 4.0, 4.0)
BODY = ((0.0, 60.0), (0.0, 80.0))


def blob(*centres, edge=10, probability_map=0.95) -> np.ndarray:
    """Cubes of 10³ voxels of 64 µL: 64 mL."""
    values = np.zeros(SHAPE, np.float32)
    for centre in centres:
        values[tuple(slice(max(0, c - edge // 2), c + edge // 2) for c in centre)] = probability_map
    return values


USUAL = (15, round(60 * POSITION[1]), round(80 * POSITION[0]))


def seen(values, *, body=BODY, **how) -> Stage1Result:
    return Stage1Result(values, SPACING_MM, body, **how)


def test_one_whole_organ_in_its_usual_place_is_sure():
    found = score_plausibility(seen(blob(USUAL)))
    assert found.confidence == 1.0
    assert found.reasons == ()
    assert (found.components, found.main_share) == (1, 1.0)
    assert found.organ_ml == pytest.approx(64.0)
    assert found.mass_ml == pytest.approx(0.95 * 64.0)
    assert found.position == pytest.approx((*POSITION[:1], POSITION[1], 0.5), abs=0.02)


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        (blob(), "nothing_located"),
        (blob(USUAL, probability_map=0.6), "probability_low"),
        (blob(USUAL, (15, 50, 10)), "organ_scattered"),
        (blob(USUAL, edge=4), "organ_small"),
        (blob(USUAL, edge=20), "organ_large"),
        (blob((15, 50, 10)), "position_unusual"),
    ],
)
def test_what_speaks_against_a_place_is_named(values, reason):
    found = score_plausibility(seen(values))
    assert found.reasons == (reason,)
    assert found.confidence < 0.8
    assert reason in AGAINST


def test_an_organ_of_less_than_half_the_ordinary_volume_is_doubtful():
    assert 10 < 6**3 * 0.064 < ORDINARY_PANCREAS_ML / 2 < 7**3 * 0.064 < ORDINARY_PANCREAS_ML
    less, more = (score_plausibility(seen(organ)) for organ in (blob(USUAL, edge=6), blob(USUAL, edge=8)))
    assert less.confidence == pytest.approx(6**3 * 0.064 / ORDINARY_PANCREAS_ML, abs=1e-3)
    assert less.confidence < CONFIDENT < more.confidence


def test_a_short_scan_need_not_hold_a_whole_organ():
    values = blob(USUAL, edge=4)
    short = seen(values[10:20])
    assert "organ_small" not in score_plausibility(short).reasons
    assert "organ_small" in score_plausibility(Stage1Result(values[10:20], SPACING_MM, BODY, extent_mm=200)).reasons


def test_keypoints_are_not_judged_by_their_volume():
    assert score_plausibility(seen(blob(USUAL, edge=4), is_mask=False)).confidence == 1.0


def test_a_region_cut_from_a_scan_is_not_judged_by_the_place_in_it():
    assert score_plausibility(seen(blob((15, 50, 10)), body=None)).confidence == 1.0


def test_the_place_is_counted_within_the_body():
    inner = ((10.0, 50.0), (20.0, 60.0))
    assert score_plausibility(seen(blob((15, 30, 40)), body=inner)).position == pytest.approx((0.5, 0.5, 0.5), abs=0.02)


@given(st.integers(0, 2**32 - 1), st.floats(0.05, 1))
def test_confidence_is_a_number_between_0_and_1_whatever_is_believed(seed, scale):
    random = np.random.default_rng(seed)
    probability_map = (scale * random.random((5, 9, 11))).astype(np.float16)
    found = score_plausibility(Stage1Result(probability_map, (5.0, 9.0, 9.0), ((1.0, 8.0), (0.5, 10.0))))
    assert 0 <= found.confidence <= 1
    assert set(found.reasons) <= AGAINST.keys()


def test_a_sure_place_is_handed_over_without_the_light_pieces():
    values = blob(USUAL) + 0.9 * (blob((4, 50, 10), edge=4) > 0)
    search_region = select_search_region(seen(values.copy()), fallback_search=True)
    assert search_region.mask is None
    assert search_region.location is not None and search_region.location.confidence >= CONFIDENT
    assert np.array_equal(search_region.probability_map > 0, blob(USUAL) > 0)
    assert (search_region.location.level, search_region.location.candidates) == ("usual", 1)


def test_a_heavy_piece_far_away_is_dropped_and_one_close_by_is_kept():
    near, far = blob((15, USUAL[1], USUAL[2] + 12)), blob((15, 50, 10), edge=8)
    search_region = select_search_region(seen(np.maximum(np.maximum(blob(USUAL), near), far)), fallback_search=True)
    assert np.array_equal(search_region.probability_map > 0, np.maximum(blob(USUAL), near) > 0)


def test_where_nothing_reaches_one_half_the_heaviest_candidate_is_searched_wider():
    values = blob(USUAL, probability_map=0.3) + blob((5, 50, 10), edge=6, probability_map=0.25)
    search_region = select_search_region(seen(values.copy()), fallback_search=True)
    assert search_region.mask is not None and search_region.location is not None
    assert np.array_equal(search_region.probability_map, values)
    assert (search_region.location.level, search_region.location.candidates) == ("wider", 1)
    assert search_region.mask[blob(USUAL) > 0].all()
    assert search_region.mask.sum() > 1.5 * (blob(USUAL) > 0).sum()
    assert not search_region.mask[5, 50, 10]


def test_a_doubtful_place_that_reaches_one_half_is_never_traded_for_another():
    values = blob((5, 50, 10), edge=6) + blob(USUAL, probability_map=0.45)
    search_region = select_search_region(seen(values.copy()), fallback_search=True)
    assert search_region.location is not None and search_region.location.confidence < CONFIDENT
    assert search_region.mask is None
    assert np.array_equal(search_region.probability_map > 0, blob((5, 50, 10), edge=6) > 0)


def test_without_fallback_search_a_doubtful_place_stays_as_stage_1_left_it():
    search_region = select_search_region(seen(blob(USUAL, probability_map=0.3)), fallback_search=False)
    assert search_region.mask is None
    assert not (search_region.probability_map >= 0.5).any()


def test_a_probability_map_that_stays_below_the_wider_threshold_points_nowhere():
    assert not best_candidate(seen(np.full(SHAPE, 0.9 * WIDER_THRESHOLD, np.float32))).any()
    assert best_candidate(seen(blob(USUAL, probability_map=1.1 * WIDER_THRESHOLD))).any()


@pytest.mark.parametrize("probability_map", [0.0, 0.9 * WIDER_THRESHOLD])
def test_where_there_is_no_candidate_nothing_is_said_to_have_been_searched(probability_map):
    search_region = select_search_region(seen(blob(USUAL, probability_map=probability_map)), fallback_search=True)
    assert search_region.mask is None
    assert not search_region.probability_map.any()
    assert (search_region.location.level, search_region.location.candidates) == ("usual", 0)
    assert [notice.code for notice in location_notices(search_region.location)] == ["location_doubtful"]


@pytest.mark.parametrize("spacing_mm", [(1.0, 2.0, 5.0), (3.0, 0.7, 0.7)])
def test_a_mask_grows_by_at_least_the_margin_along_each_axis(spacing_mm):
    mask = np.zeros((41, 41, 41), dtype=bool)
    mask[20, 20, 20] = True
    grown = widened(mask, spacing_mm=spacing_mm, margin_mm=6)
    for axis, step in enumerate(spacing_mm):
        reach = np.flatnonzero(grown.any(axis=tuple(other for other in range(3) if other != axis)))
        assert reach[0] == 20 - np.ceil(6 / step)
        assert reach[-1] == 20 + np.ceil(6 / step)


def test_every_reason_has_its_words():
    low_confidence = Location(confidence=0.1, reasons=tuple(AGAINST), level="wider", candidates=1)
    notices = location_notices(low_confidence)
    assert [notice.code for notice in notices] == ["location_doubtful", "searched_wider"]
    assert all(words in notices[0].sentence for words in AGAINST.values())
    assert location_notices(None) == []
    assert [notice.severity for notice in location_notices(Location(confidence=0.9))] == ["information"]
