import numpy as np
import pytest
from pydantic import ValidationError

from pancascade.imaging.preprocessing import Canvas, Window, find_placement
from pancascade.imaging.preprocessing.network_grid import labels_to_network_grid, to_network_grid, to_scan_grid

RNG = np.random.default_rng(0)


def test_a_window_maps_its_ends_to_black_and_white_and_clips_the_rest():
    shown = Window(lower_hu=-100, upper_hu=240).apply(np.array([-1000, -100, 70, 240, 3000], np.int16))
    assert shown.tolist() == pytest.approx([0, 0, 0.5, 1, 1])
    assert shown.dtype == np.float32


def test_grey_values_of_a_window_give_their_hounsfield_units_back():
    window = Window(lower_hu=-56, upper_hu=180)
    grey = np.arange(256, dtype=np.uint8)
    assert np.abs(window.apply(window.to_hu(grey)) * 255 - grey).max() < 0.6


def test_a_window_without_width_is_refused():
    for lower in (10, 11):
        with pytest.raises(ValidationError, match="must be < upper_hu"):
            Window(lower_hu=lower, upper_hu=10)


def test_a_window_leaves_its_input_as_it_was():
    hu = np.array([-500.0, 0.0, 500.0], np.float32)
    Window().apply(hu)
    assert hu.tolist() == [-500, 0, 500]


def test_a_canvas_that_u_nets_cannot_take_is_refused():
    for size in ((100, 96), (96, 0), (-16, 96)):
        with pytest.raises(ValidationError, match="multiples of 16"):
            Canvas(size=size)


def ramp(height, width):
    rows, columns = np.meshgrid(np.linspace(0, 1, height), np.linspace(0, 2, width), indexing="ij")
    return (rows + columns).astype(np.float32)[None, None]


@pytest.mark.parametrize("shape", [(101, 87), (64, 64), (33, 120)])
@pytest.mark.parametrize("spacing", [(0.8, 0.8), (1.3, 0.7), (2.5, 2.5)])
def test_what_is_drawn_and_taken_off_stays_where_it_was(shape, spacing):
    canvas = Canvas(size=(64, 64), spacing_mm=1.3)
    hu = np.zeros(shape, np.int16)
    placement = find_placement(hu, spacing_mm=spacing, canvas=canvas, grow=True)
    image = ramp(*shape)
    back = to_scan_grid(to_network_grid(image, placement), placement)
    assert back.shape == image.shape
    inside = (..., slice(4, -4), slice(4, -4))
    step = max(1 / (shape[0] - 1), 2 / (shape[1] - 1))
    assert np.abs((back - image)[inside]).max() < 0.2 * step


def test_the_canvas_grows_for_a_larger_slice_only_if_asked():
    canvas = Canvas(size=(64, 64), spacing_mm=1.0)
    hu = np.zeros((100, 50), np.int16)
    grown = find_placement(hu, spacing_mm=(1, 1), canvas=canvas, grow=True)
    fixed = find_placement(hu, spacing_mm=(1, 1), canvas=canvas, grow=False)
    assert grown.canvas == (128, 64)
    assert fixed.canvas == (64, 64)
    assert fixed.offset == (-18, 7)
    back = to_scan_grid(np.ones((1, 1, 64, 64), np.float32), fixed)
    assert back.shape == (1, 1, 100, 50)
    assert back[0, 0, :18].max() == 0
    assert back[0, 0, 18:82].min() == 1


def test_without_a_spacing_the_scan_s_pixels_are_the_canvas_s():
    placement = find_placement(np.zeros((40, 60)), spacing_mm=(0.3, 3), canvas=Canvas(size=(64, 64)), grow=True)
    image = RNG.random((1, 1, 40, 60), dtype=np.float32)
    assert np.array_equal(to_scan_grid(to_network_grid(image, placement), placement), image)


def test_pictures_without_spacing_take_the_assumed_one():
    canvas = Canvas(size=(64, 64), spacing_mm=1.0, assumed_spacing_mm=0.5)
    assert find_placement(np.zeros((80, 40)), spacing_mm=None, canvas=canvas, grow=True).resized == (40, 20)


def test_labels_are_drawn_where_the_image_is():
    canvas = Canvas(size=(64, 64), spacing_mm=1.0)
    labels = np.zeros((1, 90, 100), np.uint8)
    labels[:, 30:60, 20:70] = 2
    placement = find_placement(np.zeros((90, 100)), spacing_mm=(0.6, 0.6), canvas=canvas, grow=True)
    drawn = labels_to_network_grid(labels, placement)
    image = to_network_grid((labels[:, None] == 2).astype(np.float32), placement)[:, 0]
    assert set(np.unique(drawn).tolist()) == {0, 2}
    centres = [np.argwhere(shown[0]).mean(axis=0).tolist() for shown in (image >= 0.5, drawn)]
    # Edge coordinates: 45 × 0.6 and 45 × 0.6 mm of a 54 × 60 mm slice, centred on 64 × 64.
    assert centres[1] == pytest.approx([5 + 27 - 0.5, 2 + 27 - 0.5], abs=0.3)
    assert centres[0] == pytest.approx(centres[1], abs=0.3)
    assert ((image >= 0.5) != (drawn == 2)).sum() < 0.5 * 2 * (18 + 30)


def test_labels_are_taken_from_the_pixel_under_the_centre_of_the_canvas_s_pixel():
    labels = np.zeros((1, 48, 48), np.uint8)
    labels[:, 1::3, 1::3] = 2
    canvas = Canvas(size=(16, 16), spacing_mm=3.0)
    placement = find_placement(np.zeros((48, 48)), spacing_mm=(1, 1), canvas=canvas, grow=False)
    assert (labels_to_network_grid(labels, placement) == 2).all()


def test_labels_on_the_scan_s_own_pixels_keep_every_id_where_it_was():
    labels = RNG.integers(0, 3, (2, 32, 50), dtype=np.uint8)
    placement = find_placement(np.zeros((32, 50)), spacing_mm=(1, 1), canvas=Canvas(size=(48, 64)), grow=False)
    drawn = labels_to_network_grid(labels, placement)
    assert drawn.dtype == np.uint8
    assert np.array_equal(drawn[:, 8:40, 7:57], labels)
    assert int(drawn.sum()) == int(labels.sum())


@pytest.mark.parametrize(
    ("spacing", "height", "width"), [((0.5, 0.5), 40, 30), ((2.0, 0.5), 10, 30), ((3.0, 3.0), 7, 5)]
)
def test_a_bar_has_its_size_in_millimetres_on_the_canvas(spacing, height, width):
    placement = find_placement(
        np.zeros((height, width)), spacing_mm=spacing, canvas=Canvas(size=(64, 64), spacing_mm=1.0), grow=False
    )
    assert placement.resized == pytest.approx((height * spacing[0], width * spacing[1]))
    shown = to_network_grid(np.ones((1, 1, height, width), np.float32), placement)[0, 0]
    rows, columns = np.nonzero(shown)
    assert (len(np.unique(rows)), len(np.unique(columns))) == placement.resized
    assert shown.sum() == pytest.approx(placement.resized[0] * placement.resized[1])


def test_a_cut_slice_shows_its_middle_and_comes_back_in_its_place():
    canvas = Canvas(size=(32, 32), spacing_mm=1.0)
    image = RNG.random((1, 1, 51, 20), dtype=np.float32)
    placement = find_placement(np.zeros((51, 20)), spacing_mm=(1, 1), canvas=canvas, grow=False)
    shown = to_network_grid(image, placement)
    top = -placement.offset[0]
    assert top in {9, 10}
    assert np.array_equal(shown[..., 6:26], image[..., top : top + 32, :])
    back = to_scan_grid(shown, placement)
    assert np.array_equal(back[..., top : top + 32, :], image[..., top : top + 32, :])
    assert np.abs(back[..., :top, :]).max() == np.abs(back[..., top + 32 :, :]).max() == 0


def test_tissue_can_lie_in_the_middle_of_the_canvas():
    hu = np.full((100, 120), -1000, np.int16)
    hu[20:60, 15:75] = 50
    canvas = Canvas(size=(64, 80), spacing_mm=1.0, centre="tissue")
    placement = find_placement(hu, spacing_mm=(1, 1), canvas=canvas, grow=False)
    shown = to_network_grid((hu > 0).astype(np.float32)[None, None], placement)[0, 0]
    rows, columns = np.nonzero(shown > 0.5)
    assert float(rows.mean()) == pytest.approx(31.5, abs=1)
    assert float(columns.mean()) == pytest.approx(39.5, abs=1)


def test_a_slice_without_tissue_is_centred():
    hu = np.full((40, 50), -1000, np.int16)
    canvas = Canvas(size=(64, 64), spacing_mm=1.0, centre="tissue")
    assert find_placement(hu, spacing_mm=(1, 1), canvas=canvas, grow=False).offset == (12, 7)


def test_slices_placed_together_lie_by_all_their_tissue():
    hu = np.full((2, 32, 32), -1000, np.int16)
    hu[0, :8], hu[1, -8:] = 50, 50
    canvas = Canvas(size=(64, 64), spacing_mm=1.0, centre="tissue")
    assert find_placement(hu, spacing_mm=(1, 1), canvas=canvas, grow=False).offset == (16, 16)


def test_a_slice_that_fits_stays_whole_wherever_its_tissue_is():
    hu = np.full((40, 40), -1000, np.int16)
    hu[:10, :10] = 50
    canvas = Canvas(size=(64, 64), spacing_mm=1.0, centre="tissue")
    placement = find_placement(hu, spacing_mm=(1, 1), canvas=canvas, grow=False)
    image = RNG.random((1, 1, 40, 40), dtype=np.float32)
    assert np.array_equal(to_scan_grid(to_network_grid(image, placement), placement), image)


@pytest.mark.parametrize(("top", "left"), [(0, 0), (60, 0), (0, 80), (60, 80), (30, 40)])
@pytest.mark.parametrize("spacing", [1.0, 0.7])
def test_what_is_cut_from_the_canvas_comes_back_empty_and_the_rest_in_place(top, left, spacing):
    hu = np.full((101, 121), -1000, np.int16)
    hu[top : top + 40, left : left + 40] = 50
    canvas = Canvas(size=(48, 48), spacing_mm=1.0, centre="tissue")
    placement = find_placement(hu, spacing_mm=(spacing, spacing), canvas=canvas, grow=False)
    image = (hu > 0).astype(np.float32)[None, None]
    back = to_scan_grid(to_network_grid(image, placement), placement)
    assert back.shape == image.shape
    assert ((back >= 0.5) != (image >= 0.5)).sum() <= 4 * 40
