import base64
import io
import math
from dataclasses import replace

import numpy as np
import pytest
from matplotlib.colors import to_hex
from PIL import Image

from pancascade.imaging.volume import Volume, reorient, resample_onto
from pancascade.metrics import rank_methods
from pancascade.report.comparison.gallery import (
    MARGIN_MM,
    PREDICTION,
    REFERENCE,
    choose_slices,
    crop_to_masks,
    draw_strip,
    onto,
)
from pancascade.report.figures import (
    LEAST_RATE,
    NAMED_CURVES,
    draw_agreement,
    draw_distributions,
    draw_froc,
    draw_ranks,
    embed,
    limits_of_agreement,
    shorten,
)

NAN = float("nan")
NAMES = [f"method {n}" for n in range(35)]


def picture_of(figure) -> Image.Image:
    head, _, data = embed(figure, dpi=50).partition(",")
    assert head == "data:image/png;base64"
    picture = Image.open(io.BytesIO(base64.b64decode(data)))
    assert picture.format == "PNG"
    return picture


def points(axes) -> list[np.ndarray]:
    """Positions along the axis of each method's points."""
    return [line.get_xdata() for line in axes.lines if line.get_alpha() == 0.45]


def labels(axes) -> list[str]:
    return [text.get_text() for text in axes.get_yticklabels()]


# ── distributions ──


@pytest.mark.parametrize(
    "values",
    [
        {"a": [0.5, NAN, 0.7, 0.9, 0.8, 0.2, 0.4], "b": [NAN] * 7},
        {"a": [0.5]},
        {"a": [0.8] * 9, "b": [0.8] * 9},
        {"a": [0.0] * 9, "b": [1.0] * 9},
        {"a": [0.3 + 1e-17 * n for n in range(9)]},
        {"a": [NAN], "b": [NAN]},
        {"a": [1.0, 2, 3, 2, 1, 900], "b": [0.0] * 6},
        {name: np.random.default_rng(n).uniform(0, 1, 73).tolist() for n, name in enumerate(NAMES)},
    ],
    ids=["NaN", "one case", "identical", "constant", "almost identical", "nothing", "far outlier", "35 methods"],
)
def test_every_kind_of_values_is_drawn_without_a_warning(values):
    figure = draw_distributions(values, title="pancreas: Dice")
    assert np.asarray(picture_of(figure)).std() > 0
    (axes,) = figure.axes
    assert labels(axes) == list(values)
    drawn = {len(numbers) for numbers in points(axes)}
    assert drawn <= {sum(not math.isnan(v) for v in column) for column in values.values()}


def test_points_are_the_cases_with_a_value():
    figure = draw_distributions({"a": [0.5, NAN, 0.25], "b": [NAN, 1.0, 0.0]}, title="x")
    assert [numbers.tolist() for numbers in points(figure.axes[0])] == [[0.5, 0.25], [1.0, 0.0]]


def test_the_first_method_is_on_top():
    (axes,) = draw_distributions({"first": [1, 2], "last": [1, 2]}, title="x").axes
    top, bottom = axes.transData.transform([(1, 0), (1, 1)])[:, 1]
    assert top > bottom


def test_misses_that_count_as_the_diagonal_do_not_press_the_rest_together():
    values = [2.0, 3, 4, 5, 6, 5, 4, 500]
    (axes,) = draw_distributions({"a": values}, title="HD95 [mm]").axes
    assert axes.get_xscale() == "symlog"
    assert axes.get_xlim() == pytest.approx((0, 550))
    low, high, end = axes.transAxes.inverted().transform(axes.transData.transform([(2, 0), (6, 0), (550, 0)]))[:, 0]
    assert (high - low) / end > 0.1
    (plain,) = draw_distributions({"a": values[:-1]}, title="HD95 [mm]").axes
    assert plain.get_xscale() == "linear"
    (ratios,) = draw_distributions({"a": [0.001] * 8 + [1.0]}, title="Dice").axes
    assert ratios.get_xscale() == "linear"


@pytest.mark.parametrize("name", ["$x$ costs $5", "_hidden", "胰腺", "a\\b{c}", "<b>"])
def test_names_in_any_script_are_drawn_as_they_are(name):
    for figure in (
        draw_distributions({name: [1.0, 2.0]}, title="x"),
        draw_froc({name: [(0.5, 0.5)]}),
        draw_agreement({name: [(1.0, 2.0), (2.0, 2.0)]}),
    ):
        assert picture_of(figure).width > 100
        (axes,) = figure.axes
        shown = [*labels(axes), axes.get_title()]
        shown += [text.get_text() for text in (axes.get_legend().get_texts() if axes.get_legend() else [])]
        assert any(text.split("\n")[0] == name for text in shown)


def test_a_long_name_keeps_its_start_and_end():
    assert shorten("a" * 32) == "a" * 32
    short = shorten("start" + "x" * 60 + "end")
    assert len(short) == 32
    assert short.startswith("start")
    assert short.endswith("end")
    assert "…" in short


# ── ranks ──


def test_ranks_stand_in_the_order_of_the_first_metric():
    people = [f"p{n}" for n in range(8)]
    rng = np.random.default_rng(0)
    good = {name: (rng.normal(0, 1, 8) + n).tolist() for n, name in enumerate("abc")}
    ranks = {
        "Dice": rank_methods(good, people, higher_is_better=True, resamples=100),
        "HD95": rank_methods(good, people, higher_is_better=False, resamples=100),
    }
    figure = draw_ranks(ranks)
    first, second = figure.axes
    assert labels(first) == [rank.name for rank in ranks["Dice"]]
    assert set(labels(second)) == {""}
    by_name = {rank.name: rank for rank in ranks["HD95"]}
    dots = [line.get_xdata()[0] for line in second.lines if line.get_marker() == "o"]
    assert dots == [by_name[name].rank for name in labels(first)]
    spans = [tuple(line.get_xdata()) for line in second.lines if line.get_marker() != "o"]
    assert spans == [(by_name[n].rank_low, by_name[n].rank_high) for n in labels(first)]


@pytest.mark.parametrize("metrics", [1, 5, 7])
@pytest.mark.parametrize("methods", [2, 35])
def test_ranks_of_many_methods_and_metrics_are_drawn_without_a_warning(methods, metrics):
    values = {name: [0.5, 0.5] for name in NAMES[:methods]}
    ranks = rank_methods(values, ["p", "q"], higher_is_better=True, resamples=100)
    figure = draw_ranks({f"metric {n}": ranks for n in range(metrics)})
    assert len(figure.axes) == metrics
    assert picture_of(figure).height > 50


# ── agreement of volumes ──


def test_limits_of_agreement_are_those_of_bland_and_altman():
    mean, low, high = limits_of_agreement([-1, 2, 5])
    assert mean == 2
    assert (low, high) == pytest.approx((2 - 1.96 * 3, 2 + 1.96 * 3))


def test_a_single_case_has_no_limits_of_agreement():
    mean, low, high = limits_of_agreement([3])
    assert mean == 3
    assert math.isnan(low)
    assert math.isnan(high)
    assert picture_of(draw_agreement({"a": [(10.0, 13.0)]})).width > 100


def test_a_panel_shows_differences_against_means_and_names_its_limits():
    figure = draw_agreement({"a": [(10.0, 8.0), (20.0, 14.0)], "b": [(1.0, 1.0), (2.0, 2.0)]})
    first, second = figure.axes
    (dots,) = [line for line in first.lines if line.get_marker() == "o"]
    assert dots.get_xdata().tolist() == [9, 17]
    assert dots.get_ydata().tolist() == [-2, -6]
    reach = 1.96 * math.sqrt(8)
    assert first.get_title() == f"a\n−4.0 [−{4 + reach:.1f}, {reach - 4:.1f}] mL"
    assert second.get_title() == "b\n0.0 [0.0, 0.0] mL"
    assert first.get_xlim() == second.get_xlim()
    assert picture_of(figure).width > 100


# ── FROC ──


def test_a_curve_steps_up_at_its_thresholds_and_stays_there():
    (axes,) = draw_froc({"a": [(0.0, 0.2), (0.5, 0.6), (2.0, 0.8)]}).axes
    line = axes.lines[0]
    assert line.get_drawstyle() == "steps-post"
    assert list(line.get_xdata()) == [LEAST_RATE, 0.5, 2.0, 8.0]
    assert list(line.get_ydata()) == [0.2, 0.6, 0.8, 0.8]
    assert axes.get_xscale() == "log"


def test_a_curve_that_reaches_no_low_rate_starts_at_zero():
    (axes,) = draw_froc({"a": [(20.0, 0.9)]}).axes
    assert list(axes.lines[0].get_xdata()) == [LEAST_RATE, 20.0, 20.0]
    assert list(axes.lines[0].get_ydata()) == [0, 0.9, 0.9]


def test_curves_beyond_the_colours_are_grey_and_counted():
    figure = draw_froc({name: [(0.1 * n, 0.5), (n, 0.7)] for n, name in enumerate(NAMES, start=1)})
    texts = [text.get_text() for text in figure.axes[0].get_legend().get_texts()]
    assert texts == [*NAMES[:NAMED_CURVES], f"{35 - NAMED_CURVES} others"]
    colours = {line.get_color() for line in figure.axes[0].lines}
    assert len(colours) == NAMED_CURVES + 1
    assert picture_of(figure).width > 100


def test_no_candidate_at_all_is_a_flat_curve():
    (axes,) = draw_froc({"a": []}).axes
    assert set(axes.lines[0].get_ydata()) == {0.0}


# ── slices of the gallery ──

SHAPE = (40, 30, 12)
SPACING = (2.0, 3.0, 5.0)


def scan_lps(mask, spacing=SPACING) -> Volume:
    """A volume whose axes point to the left, posterior, superior."""
    return Volume(mask, np.diag([-spacing[0], -spacing[1], spacing[2], 1.0]))


def block(*, columns=(15, 20), rows=(12, 15), slices=(2, 11)) -> np.ndarray:
    mask = np.zeros(SHAPE, bool)
    mask[slice(*columns), slice(*rows), slice(*slices)] = True
    return mask


def test_the_slice_with_the_largest_error_comes_first_then_the_other_thirds_head_first():
    reference, prediction = block(slices=(0, 12)), block(slices=(0, 12))
    prediction[0:3, 0:3, 1] = True
    assert choose_slices(reference, prediction) == [1, 9, 6]
    prediction[0:4, 0:4, 10] = True
    assert choose_slices(reference, prediction) == [10, 6, 2]
    reference[:8, :8, 5] = True
    assert choose_slices(reference, prediction) == [5, 9, 2]


@pytest.mark.parametrize(("slices", "count"), [((4, 5), 1), ((4, 6), 2), ((4, 7), 3)])
def test_only_slices_with_a_mask_are_shown_each_once(slices, count):
    chosen = choose_slices(block(slices=slices), np.zeros(SHAPE, bool))
    assert len(chosen) == len(set(chosen)) == count
    assert set(chosen) <= set(range(*slices))


def test_slices_of_the_prediction_alone_are_shown_too():
    chosen = choose_slices(np.zeros(SHAPE, bool), block(slices=(3, 5)))
    assert set(chosen) == {3, 4}


@pytest.mark.parametrize("spacing", [(1.0, 1.0, 5.0), (0.7, 1.5, 1.0), (4.0, 2.0, 3.0)])
def test_the_cut_leaves_the_margin_in_mm_around_both_masks(spacing):
    shape = (120, 110, 12)
    reference, prediction = np.zeros(shape, bool), np.zeros(shape, bool)
    reference[50:60, 52:55, 2:4] = True
    prediction[58:64, 50:53, 6:9] = True
    view = crop_to_masks(scan_lps(reference, spacing), scan_lps(prediction, spacing))
    margin = [math.ceil(MARGIN_MM / mm) for mm in spacing[:2]]
    assert view.reference.shape == (14 + 2 * margin[0], 5 + 2 * margin[1], 7)
    assert view.prediction.shape == view.reference.shape
    assert np.argwhere(view.reference).min(axis=0).tolist() == [margin[0], margin[1] + 2, 0]
    assert np.argwhere(view.prediction).min(axis=0).tolist() == [margin[0] + 8, margin[1], 4]
    assert (view.first_slice, view.slice_count) == (2, 12)
    assert view.spacing_mm == spacing


def test_the_cut_ends_at_the_scan():
    view = crop_to_masks(scan_lps(block(columns=(0, 3), rows=(27, 30))), scan_lps(block(columns=(0, 3))))
    assert view.reference[0, -1].any()
    assert view.reference.shape == (3 + 10, 30 - 5, 9)


def test_two_empty_masks_have_no_view():
    empty = scan_lps(np.zeros(SHAPE, bool))
    assert crop_to_masks(empty, empty) is None


def test_the_scan_behind_is_cut_at_the_same_place_whatever_its_grid():
    hu = np.arange(np.prod(SHAPE), dtype=np.float32).reshape(SHAPE)
    mask = scan_lps(block())
    same = crop_to_masks(mask, mask, scan=scan_lps(hu))
    column, row, k = np.argwhere(same.reference)[0]
    assert same.scan[column, row, k] == hu[15, 12, 2]
    shifted = scan_lps(hu).affine.copy()
    wide = resample_onto(scan_lps(hu), Volume(np.zeros((50, 40, 20)), shifted), fill=-1024)
    other = crop_to_masks(mask, mask, scan=wide)
    np.testing.assert_allclose(other.scan, same.scan)


@pytest.mark.parametrize("codes", ["RAS", "LAS", "SRP", "ILA"])
def test_a_label_map_stored_in_another_order_comes_to_the_same_voxels(codes):
    grid = scan_lps(np.random.default_rng(0).integers(0, 3, SHAPE).astype(np.uint8))
    turned = reorient(grid, codes)
    assert np.array_equal(onto(turned, grid).voxels, grid.voxels)


def test_a_label_map_on_another_grid_is_brought_over_by_nearest_voxel():
    grid = scan_lps(block().astype(np.uint8))
    fine = scan_lps(np.kron(block(), np.ones((2, 1, 1), bool)).astype(np.uint8), (1.0, 3.0, 5.0))
    affine = fine.affine.copy()
    affine[0, 3] += 0.5  # both grids share their outer edge
    moved = onto(replace(fine, affine=affine), grid)
    assert moved.voxels.dtype == np.uint8
    assert np.array_equal(moved.voxels, grid.voxels)


# ── pictures of the gallery ──


def contours(axes, colour: str) -> np.ndarray:
    """Corner points of the contours of a colour, (x, y)."""
    sets = [c for c in axes.collections if to_hex(c.get_edgecolor()[0]) == colour]
    return np.concatenate([path.vertices for c in sets for path in c.get_paths()])


def test_contours_run_around_their_masks_and_close_at_the_edge():
    reference, prediction = block(columns=(0, 3)), block(columns=(10, 14), rows=(20, 30))
    view = crop_to_masks(scan_lps(reference), scan_lps(prediction))
    figure = draw_strip(view)
    for axes in figure.axes:
        for mask, colour in ((view.reference, REFERENCE), (view.prediction, PREDICTION)):
            where = np.argwhere(mask.any(axis=2))
            found = contours(axes, colour)
            assert found.min(axis=0).tolist() == (where.min(axis=0) - 0.5).tolist()
            assert found.max(axis=0).tolist() == (where.max(axis=0) + 0.5).tolist()
            np.testing.assert_array_equal(found[0], found[-1])
    assert picture_of(figure).width > 100


def test_slices_are_shown_lps_in_true_proportions():
    mask = block(columns=(2, 5), rows=(3, 6))
    figure = draw_strip(crop_to_masks(scan_lps(mask), scan_lps(mask)))
    figure.canvas.draw()
    axes = figure.axes[0]
    origin, left, back = axes.transData.transform([(0, 0), (10, 0), (0, 10)])
    assert left[0] > origin[0]  # the patient's left is on the right
    assert back[1] < origin[1]  # the back is below
    assert (origin[1] - back[1]) / (left[0] - origin[0]) == pytest.approx(SPACING[1] / SPACING[0], rel=1e-3)


def test_titles_count_slices_from_the_feet():
    mask = block(slices=(4, 6))
    titles = [
        axes.get_title() for axes in draw_strip(crop_to_masks(scan_lps(mask), scan_lps(np.zeros(SHAPE, bool)))).axes
    ]
    assert titles == ["largest error, slice 5 of 12 from the feet", "slice 6 of 12 from the feet"]


def test_errors_are_tinted_only_where_there_is_no_scan():
    reference, prediction = scan_lps(block()), scan_lps(block(columns=(18, 24)))
    plain = draw_strip(crop_to_masks(reference, prediction)).axes[0].images[0].get_array()
    view = crop_to_masks(reference, prediction)
    (missed,) = {tuple(v) for v in plain[(view.reference & ~view.prediction)[:, :, 0].T]}
    (false,) = {tuple(v) for v in plain[(view.prediction & ~view.reference)[:, :, 0].T]}
    (right,) = {tuple(v) for v in plain[(view.prediction & view.reference)[:, :, 0].T]}
    assert missed[2] > missed[0]
    assert false[0] > false[2]
    assert len(set(right)) == 1
    scan = scan_lps(np.full(SHAPE, 70, np.int16))
    grey = draw_strip(crop_to_masks(reference, prediction, scan=scan)).axes[0].images[0].get_array()
    assert grey.ndim == 2
    assert np.asarray(grey) == pytest.approx(0.5)


def test_one_empty_mask_is_no_trouble():
    for masks in ((block(), np.zeros(SHAPE, bool)), (np.zeros(SHAPE, bool), block())):
        assert picture_of(draw_strip(crop_to_masks(*map(scan_lps, masks)))).width > 100
