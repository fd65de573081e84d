"""Two dates: arithmetic on hand-made results, pairs by place in the organ, doubts by name."""

import json

import numpy as np
import pytest
from result_examples import LINE, Page, diameters, lesion, patient, place, result

from pancascade.imaging.volume.acquisition import Acquisition
from pancascade.report.follow_up.follow_up import Change, categorise, compare_dates
from pancascade.report.follow_up.follow_up_page import (
    spell_change,
    spell_percent,
    write_follow_up,
    write_follow_up_json,
)
from pancascade.report.follow_up.follow_up_pictures import pair_pictures
from pancascade.report.follow_up.lesion_matching import along, match_lesions
from pancascade.report.scan.overview import write_overview
from pancascade.results.measurements import Measurements, Organ
from pancascade.results.result import Result, Thresholds


def sized(number, long_mm, *, at=(44.5, 20.5, 12.5), part="tail", volume_ml=1.0):
    return lesion(
        number,
        diameters=diameters(long_mm, long_mm / 2),
        centroid_mm=place(*at),
        part=part,
        volume_ml=volume_ml,
        diameter_3d_mm=long_mm,
    )


def date(*lesions, line=LINE, shift_mm=(0, 0, 0), **changes) -> Result:
    """A result whose patient lay elsewhere by a shift."""
    step = np.array(shift_mm)
    moved = tuple(
        of.model_copy(update={"centroid_mm": tuple((np.array(of.centroid_mm) + step).tolist())}) for of in lesions
    )
    organ = Organ(
        volume_ml=60.0,
        parenchyma_ml=55.0,
        length_mm=72.0,
        centre_line_mm=tuple(tuple((np.array(point) + step).tolist()) for point in line),
    )
    found = result(
        lesions=moved, pancreas_and_lesions=Measurements(organ=organ, lesions=moved), notices=(), warnings=()
    )
    sizes = {key: dict(value) for key, value in found.measurements.items()}
    box = sizes["pancreas_with_tumour"]["box_mm"]
    sizes["pancreas_with_tumour"]["box_mm"] = {side: (np.array(box[side]) + step).tolist() for side in box}
    return found.model_copy(update={"measurements": sizes, "scan": f"scan{shift_mm[0]}.nii.gz"} | changes)


def test_volumes_and_sums_change_by_hand():
    first = date(sized(1, 20, volume_ml=4.0), sized(2, 12, at=(15, 24, 10), part="head"))
    second = date(sized(1, 26, volume_ml=6.0), sized(2, 9, at=(15, 24, 10), part="head"), shift_mm=(30, -10, 100))
    found = compare_dates(first, second)
    assert [(entry.earlier_number, entry.later_number, entry.fate) for entry in found.lesions] == [
        (1, 1, "both"),
        (2, 2, "both"),
    ]
    assert found.lesions[0].volume_ml == Change(earlier=4, later=6)
    assert found.lesions[0].volume_ml.percent == 50
    assert found.lesions[0].apart_mm == pytest.approx(0, abs=1e-9)
    assert found.sum_of_all_mm == found.sum_of_targets_mm == Change(earlier=32, later=35)
    assert found.sum_of_targets_mm.percent == pytest.approx(9.375)
    assert found.category == "neither"
    assert found.matched_by == "centre_line"
    assert found.pancreas_ml == Change(earlier=60, later=60)


@pytest.mark.parametrize(
    "earlier, later, category",
    [
        (50, 60, "increase"),
        (50, 59.9, "neither"),
        (20, 24.9, "neither"),  # 24.5 %, but less than 5 mm
        (20, 25, "increase"),
        (30, 21, "decrease"),
        (30, 21.1, "neither"),
        (30, 30, "neither"),
        (30, 0, "all_gone"),
        (0, 0, "undefined"),
        (0, 12, "undefined"),
        (15.1 + 10.2, (15.1 + 10.2) * 0.7, "decrease"),
    ],
)
def test_categories_are_recists_thresholds(earlier, later, category):
    assert categorise(Change(earlier=earlier, later=later)) == category


def test_targets_are_the_two_largest_of_at_least_ten_millimetres():
    places = [(15, 24, 9), (30, 24, 9), (45, 24, 9), (30, 24, 13)]
    first = date(
        *(
            sized(n, long, at=at, part=None)
            for n, (long, at) in enumerate(zip((9.9, 30, 12, 10), places, strict=True), 1)
        )
    )
    found = compare_dates(first, date())
    assert [entry.target for entry in found.lesions] == [False, True, True, False]
    assert found.sum_of_targets_mm == Change(earlier=42, later=0)
    assert found.sum_of_all_mm == Change(earlier=61.9, later=0)
    assert found.category == "all_gone"
    assert {entry.fate for entry in found.lesions} == {"gone"}


def test_new_and_gone_lesions_are_named():
    found = compare_dates(date(sized(1, 20)), date(sized(1, 22, at=(14, 24, 10), part="head"), shift_mm=(5, 0, 0)))
    assert [(entry.fate, entry.earlier_number, entry.later_number) for entry in found.lesions] == [
        ("gone", 1, None),
        ("new", None, 1),
    ]
    assert found.lesions[1].long_mm == Change(earlier=0, later=22)
    assert found.lesions[1].long_mm.percent is None
    assert not found.lesions[1].target


def test_a_shifted_patient_keeps_the_pairs_even_where_the_scanner_would_swap_them():
    near, far = (20, 24, 11), (35, 24, 11)  # 30 mm apart
    first = date(sized(1, 15, at=near, part="body"), sized(2, 14, at=far, part="body"))
    second = date(sized(1, 14, at=far, part="body"), sized(2, 15, at=near, part="body"), shift_mm=(30, 0, 0))
    for line in (LINE, ()):
        dates = [
            of.model_copy(
                update={
                    "pancreas_and_lesions": of.pancreas_and_lesions.model_copy(
                        update={"organ": of.pancreas_and_lesions.organ.model_copy(update={"centre_line_mm": ()})}
                    )
                }
            )
            if not line
            else of
            for of in (first, second)
        ]
        matches, way = match_lesions(*dates)
        assert way == ("centre_line" if line else "organ_centre")
        assert [(match.earlier, match.later) for match in matches] == [(0, 1), (1, 0)]
        assert max(match.distance_mm for match in matches) < 1e-6


def test_head_and_tail_never_match_but_neighbouring_and_unknown_parts_do():
    for first, second, expected in (("head", "tail", 0), ("head", "body", 1), (None, "tail", 1), ("tail", "tail", 1)):
        assert len(match_lesions(date(sized(1, 12, part=first)), date(sized(1, 12, part=second)))[0]) == expected


def test_places_reach_twenty_millimetres_or_half_a_large_lesion():
    def pairs(step_mm, long_mm):
        return len(
            match_lesions(date(sized(1, 12, at=(40, 24, 11))), date(sized(1, long_mm, at=(40, 24 + step_mm / 2, 11))))[
                0
            ]
        )

    assert pairs(19, 12) == 1
    assert pairs(21, 12) == 0
    assert pairs(21, 50) == 1


def test_as_many_lesions_as_may_match_do():
    # The best single pair (0 mm) would leave the others too far apart.
    first = date(sized(1, 12, at=(30, 24, 11), part=None), sized(2, 12, at=(38, 24, 11), part=None))
    second = date(sized(1, 12, at=(22, 24, 11), part=None), sized(2, 12, at=(30, 24, 11), part=None))
    assert [(match.earlier, match.later) for match in match_lesions(first, second)[0]] == [(0, 0), (1, 1)]


def test_places_along_a_bent_line_are_way_and_step():
    line = np.array([[0.0, 0, 0], [10, 0, 0], [10, 10, 0]])
    places = along(np.array([[4.0, 0, 3], [12, 5, 0], [-5, 0, 0]]), line, length_mm=40)
    np.testing.assert_allclose(places, [[8, 0, 0, 3], [30, 2, 0, 0], [0, -5, 0, 0]])


def codes(first, second):
    return {notice.code for notice in compare_dates(first, second).notices}


def test_what_makes_dates_incomparable_is_named():
    first, second = date(sized(1, 12)), date(sized(1, 12), shift_mm=(5, 0, 0))
    assert codes(first, second) == set()
    assert codes(first, second.model_copy(update={"model": "b"})) == {"other_model"}
    assert codes(first, second.model_copy(update={"thresholds": Thresholds(organ=0.6, tumour=0.5)})) == {
        "other_thresholds"
    }
    unmarked = second.thresholds.model_copy(update={"tumour_marked": False})
    assert codes(first, second.model_copy(update={"thresholds": unmarked})) == {"tumour_marked_once"}
    assert codes(first, second.model_copy(update={"backend": "openvino"})) == {"other_engine"}
    assert codes(first, first) == {"same_scan"}
    thick = second.grid.model_copy(update={"affine": ((-2, 0, 0, 0), (0, -2, 0, 0), (0, 0, 8, 0), (0, 0, 0, 1))})
    assert codes(first, second.model_copy(update={"grid": thick})) == {"other_spacing"}


def test_scans_that_were_acquired_differently_are_named():
    venous = Acquisition(contrast=True, kv=120, kernel="B30f")
    first, second = date(acquisition=venous), date(shift_mm=(5, 0, 0), acquisition=venous)
    assert codes(first, second) == set()
    assert codes(first, second.model_copy(update={"acquisition": None})) == set()
    native = second.model_copy(update={"acquisition": Acquisition(kv=120)})
    (notice,) = compare_dates(first, native).notices
    assert (notice.code, notice.severity) == ("other_acquisition", "warning")
    assert "(with contrast, 120 kV, B30f; 120 kV)" in notice.sentence
    sharp = second.model_copy(update={"acquisition": venous.model_copy(update={"kernel": "B60f"})})
    (notice,) = compare_dates(first, sharp).notices
    assert (notice.code, notice.severity) == ("other_acquisition", "information")


def test_another_patient_and_reversed_dates_are_named_where_identifiers_were_kept():
    first = date(identifiers={"patient_id": "1", "study_date": "20260301"})
    second = date(shift_mm=(5, 0, 0), identifiers={"patient_id": "2", "study_date": "20260101"})
    assert codes(first, second) == {"other_patient", "dates_reversed"}
    assert (
        codes(second, first.model_copy(update={"identifiers": {"patient_id": "2", "study_date": "20260301"}})) == set()
    )


def test_a_date_without_any_pancreas_is_compared_with_a_warning():
    _, mask = patient()
    nothing = result(mask.with_voxels(np.zeros_like(mask.voxels)), lesions=(), scan="later.nii.gz")
    found = compare_dates(date(sized(1, 12)), nothing)
    assert {"no_pancreas"} <= {notice.code for notice in found.notices}
    assert found.matched_by == "scan"
    assert found.lesions[0].fate == "gone"
    assert found.pancreas_ml.percent == -100


def test_the_page_is_sound_and_says_all(tmp_path):
    first = date(sized(1, 20, volume_ml=4.0), model="<b>old</b>", warnings=("Look <i>twice</i>.",))
    second = date(sized(1, 26, volume_ml=6.0), sized(2, 7, at=(14, 24, 10), part="head"), shift_mm=(5, 0, 0))
    write_follow_up(tmp_path / "f.html", compare_dates(first, second))
    text = (tmp_path / "f.html").read_text(encoding="utf-8")
    page = Page(text)
    page.assert_sound(text)
    shown = " ".join(page.shown.split())
    for words in (
        "Research use only. Not for clinical use.",
        "+30.0 %",
        "+50.0 %",
        "20.0 × 10.0",
        "26.0 × 13.0",
        "an increase of at least 20 % and at least 5 mm",
        "A lesion is new.",
        "1 → 1",
        "by position along and around the centre line",
        "Look <i>twice</i>.",
        "other_model",
    ):
        assert words in shown, words
    assert "i" not in page.tags


def test_json_holds_the_same(tmp_path):
    found = compare_dates(date(sized(1, 20)), date(sized(1, 26), shift_mm=(5, 0, 0)))
    write_follow_up_json(tmp_path / "f.json", found)
    read = json.loads((tmp_path / "f.json").read_text())
    assert read["sum_of_targets_mm"] == {"earlier": 20.0, "later": 26.0}
    assert read["category"] == "increase"
    assert type(found).model_validate(read) == found


@pytest.mark.parametrize(
    "earlier, later, change, percent",
    [
        (10, 12, "+2.0", "+20.0 %"),
        (10, 8, "−2.0", "−20.0 %"),
        (10, 10, "0.0", "0.0 %"),
        (0, 3, "+3.0", "–"),
        (10, 10.001, "0.0", "0.0 %"),
    ],
)
def test_changes_carry_their_sign(earlier, later, change, percent):
    both = Change(earlier=earlier, later=later)
    assert (spell_change(both), spell_percent(both)) == (change, percent)


def test_pictures_of_both_dates_stand_side_by_side(tmp_path):
    scan, mask = patient()
    first = result(mask)
    found = compare_dates(first, first)
    pairs = pair_pictures(found, (first, first), [(scan, mask)] * 2, [tmp_path / "none.png"] * 2)
    titles = [pair.title for pair in pairs]
    assert titles[:3] == ["Axial", "Coronal", "Sagittal"]
    assert len(titles) == 3 + len(found.lesions)
    assert all(pair.earlier and pair.later for pair in pairs)
    write_follow_up(tmp_path / "f.html", found, pictures=pairs)
    text = (tmp_path / "f.html").read_text(encoding="utf-8")
    page = Page(text)
    page.assert_sound(text)
    assert len(page.loaded) == 2 * len(pairs)


def test_without_a_scan_the_overviews_are_shown_and_without_those_nothing(tmp_path):
    scan, mask = patient()
    write_overview(scan, mask, tmp_path / "overview.png")
    first = result(mask)
    found = compare_dates(first, first)
    there, missing = tmp_path / "overview.png", tmp_path / "none.png"
    (pair,) = pair_pictures(found, (first, first), [(scan, mask), None], [there, missing])
    assert (pair.title, pair.earlier is None, pair.later is None) == ("Overview", False, True)
    write_follow_up(tmp_path / "f.html", found, pictures=[pair])
    assert "no picture" in (tmp_path / "f.html").read_text(encoding="utf-8")
    assert pair_pictures(found, (first, first), [None, None], [missing, missing]) == []
