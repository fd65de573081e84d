"""What a recipe can say of a folder of pictures beyond its window."""

import numpy as np
import pytest
from PIL import Image

from pancascade.data.readers import slice_folder
from pancascade.errors import DataError
from pancascade.imaging.preprocessing import Window
from pancascade.labels import HelperOrgan, Label

GREY = Window(lower_hu=0, upper_hu=255)
VALUES = {1: Label.PANCREAS, 2: HelperOrgan.KIDNEYS, 3: HelperOrgan.LIVER}
PALETTE = [0, 0, 0, 255, 0, 0, 0, 255, 0, 0, 0, 255, 1, 1, 1]
STORED = np.zeros((30, 40), np.uint8)
STORED[3:9, 20:30], STORED[12:16, 2:6], STORED[5:20, 8:14], STORED[25, 30] = 1, 2, 3, 4
EXPECTED = np.zeros_like(STORED)
EXPECTED[STORED == 1], EXPECTED[STORED == 2], EXPECTED[STORED == 3] = 1, HelperOrgan.KIDNEYS, HelperOrgan.LIVER


def write_mask(folder, mode, *, name="a"):
    mask = Image.fromarray(STORED)
    if mode == "P":
        mask = Image.new("P", STORED.shape[::-1])
        mask.putdata(STORED.ravel().tolist())
        mask.putpalette(PALETTE)
    elif mode == "RGB":
        mask = mask.convert("RGB")
    elif mode == "1":
        mask = Image.fromarray(STORED == 1)
    mask.save(folder / "masks" / f"{name}.png")
    with Image.open(folder / "masks" / f"{name}.png") as saved:
        assert saved.mode == mode


@pytest.fixture
def folder(tmp_path):
    for part in ("images", "masks"):
        (tmp_path / part).mkdir()
    for name in ("a", "b"):
        Image.fromarray(np.arange(30 * 40).reshape(30, 40).astype(np.uint8)).save(tmp_path / "images" / f"{name}.png")
        write_mask(tmp_path, "P", name=name)
    (tmp_path / "index.csv").write_text("name,patient,pixel_mm,seen\na,p1,0.7,1\nb,p2,,0\n")
    return tmp_path


def index(folder, text):
    (folder / "index.csv").write_text(text)
    return folder


def first_slice(folder, **options):
    return slice_folder(folder, window=GREY, **options)[0].read_slices()[0]


@pytest.mark.parametrize("mode", ["P", "L"])
def test_values_of_a_mask_stand_for_structures_whatever_their_colours(folder, mode):
    write_mask(folder, mode)
    axial = first_slice(folder, mask_values=VALUES)
    assert np.array_equal(axial.labels, EXPECTED)
    assert axial.labels.dtype == np.uint8


def test_the_values_of_a_bilevel_mask_are_0_and_1(folder):
    write_mask(folder, "1")
    assert np.array_equal(first_slice(folder, mask_values=VALUES).labels, STORED == 1)
    assert np.array_equal(first_slice(folder).labels, STORED == 1)


def test_values_that_are_not_named_are_background(folder):
    assert np.array_equal(first_slice(folder, mask_values={3: Label.PANCREAS}).labels, STORED == 3)


def test_a_coloured_mask_has_no_values(folder):
    write_mask(folder, "RGB")
    with pytest.raises(DataError, match=r"a\.png: has colours, .*8-bit grey"):
        first_slice(folder, mask_values=VALUES)


def test_without_names_all_above_0_is_the_label(folder):
    write_mask(folder, "L")
    assert np.array_equal(first_slice(folder, label=Label.TUMOUR).labels, (STORED > 0) * np.uint8(Label.TUMOUR))


def test_masks_with_values_are_turned_over_and_cut_with_their_pictures(folder):
    turned = first_slice(folder, mask_values=VALUES, flip_rows=True)
    assert np.array_equal(turned.labels, EXPECTED[::-1])
    cut = first_slice(folder, mask_values={1: Label.PANCREAS}, region_margin=2)
    assert np.array_equal(cut.labels, (STORED == 1)[1:11, 18:32])


def test_folders_without_masks_show_nothing_to_outline(folder):
    for mask in (folder / "masks").iterdir():
        mask.unlink()
    cases = slice_folder(folder, window=GREY, without_masks=True, region_margin=3)
    axial = cases[0].read_slices()[0]
    assert axial.labels.shape == axial.hu.shape == STORED.shape
    assert not axial.labels.any()
    assert cases[0].files == (folder / "images" / "a.png",)
    with pytest.raises(DataError, match=r"a\.png: listed in index\.csv but missing"):
        first_slice(folder)


def test_rows_are_chosen_by_what_their_columns_say(folder):
    assert [case.name for case in slice_folder(folder, window=GREY, rows_with={"seen": "1"})] == ["a"]
    assert [case.name for case in slice_folder(folder, window=GREY, rows_with={})] == ["a", "b"]
    assert slice_folder(folder, window=GREY, rows_with={"seen": "1", "patient": "p2"}) == []
    with pytest.raises(DataError, match=r"^index\.csv: no column what\."):
        slice_folder(folder, window=GREY, rows_with={"what": "1"})


def test_a_row_s_own_pixels_go_before_the_folder_s(folder):
    spacings = [case.read_slices()[0].spacing_mm for case in slice_folder(folder, window=GREY, pixel_mm=1.6)]
    assert spacings == [(0.7, 0.7), (1.6, 1.6)]
    assert slice_folder(folder, window=GREY)[1].read_slices()[0].spacing_mm is None


def test_a_folder_that_tells_no_pixels_takes_the_recipe_s_or_none(folder):
    index(folder, "name,patient\na,p1\n")
    assert first_slice(folder).spacing_mm is None
    assert first_slice(folder, pixel_mm=1.6).spacing_mm == (1.6, 1.6)


NO_PIXELS = {
    **dict.fromkeys(("0", "-0.7"), "expected millimetres above 0"),
    **dict.fromkeys(("nan", "inf", "0,7x", "wide"), "not a number"),
}


@pytest.mark.parametrize(("value", "says"), NO_PIXELS.items())
def test_pixels_that_cannot_be_are_refused_with_their_line(folder, value, says):
    index(folder, f'name,patient,pixel_mm\na,p1,"{value}"\n')
    with pytest.raises(DataError, match=rf"^index\.csv, line 2: pixel_mm is '{value}', {says}"):
        slice_folder(folder, window=GREY)


def test_pictures_stand_alone(folder):
    assert first_slice(folder).slice_mm is None
