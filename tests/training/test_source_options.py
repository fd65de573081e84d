"""Keys of a recipe's sources that say what pictures show, and how the canvas must fit the networks."""

import json

import numpy as np
import pytest
import torch
from PIL import Image

from pancascade.errors import DataError, RecipeError
from pancascade.labels import HELPERS_UNKNOWN, HelperOrgan
from pancascade.training import find_recipe, read_recipe, recipe_on
from pancascade.training.data import read_training_data
from pancascade.training.recipe import Recipe

SOURCE = "{reader: slice_folder, folder: slices, split: split.json, window: {lower_hu: 0, upper_hu: 255}}"
FIRST = "first: {name: unet, preset: tiny}"
HELPERS = (FIRST, f"{FIRST}\n  helper_organs: [liver]")


def source(**changes):
    settings = {"reader": "slice_folder", "folder": "slices", "split": "split.json"} | changes
    return json.dumps({key: value for key, value in settings.items() if value is not None})


@pytest.fixture
def recipe(project, change_recipe):
    """The project's recipe with other sources, read."""

    original = (project / "tiny.yaml").read_text()

    def with_sources(*sources, changes=()) -> Recipe:
        (project / "tiny.yaml").write_text(original)
        return read_recipe(change_recipe(project, (SOURCE, "\n  - ".join(sources)), *changes))

    return with_sources


@pytest.fixture
def read(recipe, project):
    """The training data of that."""

    def with_sources(*sources, changes=()):
        read = recipe(*sources, changes=changes)
        return read_training_data(read, root=project, beside=project, out=project / "run")

    return with_sources


@pytest.fixture
def with_liver(project):
    """Masks of the project's slices hold 1 pancreas, 2 liver."""
    for path in (project / "slices" / "masks").iterdir():
        mask = np.asarray(Image.open(path)).astype(np.uint8)
        mask[:3, :4] = 2
        Image.fromarray(mask).save(path)
    return project


def test_helper_organs_reach_the_label_maps_and_elsewhere_background_is_unknown(read, with_liver):
    outlines = source(mask_values={"1": "pancreas", "2": "liver"})
    pancreas_only = source(mask_values={"1": "pancreas"}, validate_on=False)
    data = read(outlines, pancreas_only, changes=(HELPERS,))
    known, unknown = (slices.labels for slices in data.training)
    assert known.unique().tolist() == [0, 1, HelperOrgan.LIVER]
    assert unknown.unique().tolist() == [1, HELPERS_UNKNOWN]
    assert torch.equal(known == 1, unknown == 1)
    assert data.validation[0].labels.unique().tolist() == [0, 1, HelperOrgan.LIVER]


def test_pictures_without_masks_are_unknown_to_helper_organs_as_well(read, with_liver):
    data = read(source(without_masks=True, split=None), changes=(HELPERS,))
    assert data.training[0].labels.unique().tolist() == [HELPERS_UNKNOWN]


def test_without_helper_organs_background_stays_background(read, with_liver):
    data = read(source(mask_values={"1": "pancreas"}), source(without_masks=True, validate_on=False))
    assert [slices.labels.unique().tolist() for slices in data.training] == [[0, 1], [0]]


def test_what_is_kept_is_chosen_by_the_pancreas_not_by_helper_organs(read, with_liver, project):
    mask = np.zeros((32, 48), np.uint8)
    mask[:3, :4] = 2
    Image.fromarray(mask).save(project / "slices" / "masks" / "p0_z0.png")
    values = {"1": "pancreas", "2": "liver"}
    data = read(*(source(mask_values=values, keep=rule) for rule in ("pancreas", "no_pancreas")), changes=(HELPERS,))
    assert len(data.training[0]) == 7
    assert data.training[1].names == ("p0_z0",)


def test_slices_that_outline_no_helper_are_kept_by_the_same_rules(read, with_liver):
    with pytest.raises(DataError, match="nothing is left by keep: no_pancreas"):
        read(source(mask_values={"1": "pancreas"}, keep="no_pancreas"), changes=(HELPERS,))


def test_rows_and_pixels_are_the_source_s(read, project):
    index = project / "slices" / "index.csv"
    rows = index.read_text().split()
    index.write_text("\n".join([f"{rows[0]},checked", *(f"{row},{int('z0' in row)}" for row in rows[1:])]) + "\n")
    canvas = ("size: [32, 48]", "size: [32, 48], spacing_mm: 1.0, assumed_spacing_mm: 1.0")
    sources = (source(rows_with={"checked": "1"}), source(rows_with={"checked": "1"}, pixel_mm=0.5))
    plain, small = read(*sources, changes=(canvas,)).training
    assert plain.names == small.names == tuple(f"p{patient}_z0" for patient in range(4))
    shares = [float((slices.labels > 0).float().mean()) for slices in (plain, small)]
    assert shares[1] == pytest.approx(shares[0] / 4, rel=0.15)


def test_rows_that_leave_nothing_are_named(read, project):
    with pytest.raises(DataError, match="nothing is left by rows_with and keep: all"):
        read(source(rows_with={"patient": "nobody"}, split=None))


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"mask_values": {"1": "heart"}}, "mask_values"),
        ({"mask_values": {"0": "pancreas"}}, "greater than or equal to 1"),
        ({"mask_values": {"256": "pancreas"}}, "less than or equal to 255"),
        ({"mask_values": {}}, "mask_values"),
        ({"mask_values": {"1": "pancreas"}, "without_masks": True}, "without_masks and mask_values contradict"),
        ({"pixel_mm": 0}, "pixel_mm.*greater than 0"),
        ({"reader": "region_folder", "without_masks": True}, "without_masks is for reader slice_folder"),
        ({"reader": "msd", "pixel_mm": 1.0}, "pixel_mm is for reader slice_folder, not msd"),
        ({"reader": "msd", "rows_with": {"a": "1"}}, "rows_with is for reader slice_folder"),
    ],
)
def test_keys_that_say_nothing_or_contradict_each_other_are_refused(recipe, changes, sentence):
    with pytest.raises(RecipeError, match=f"tiny.yaml: .*{sentence}"):
        recipe(source(**changes))


def test_a_source_that_outlines_a_part_of_the_helper_organs_is_refused(recipe):
    """Else stage 1 would learn that the other organs are in none of its slices."""
    both = (FIRST, f"{FIRST}\n  helper_organs: [liver, spleen]")
    with pytest.raises(
        RecipeError, match=r"slices outlines liver, but not spleen, .*mask_values or of helper_organs\.$"
    ):
        recipe(source(mask_values={"1": "pancreas", "2": "liver"}), changes=(both,))
    recipe(source(mask_values={"1": "pancreas", "2": "stomach"}), changes=(both,))
    every = recipe(source(mask_values={"1": "spleen", "2": "liver"}), changes=(both,))
    assert every.helper_organs == {"liver", "spleen"}


def test_networks_must_take_the_channels_that_the_canvas_shows(recipe):
    neighbours = ("size: [32, 48]", "size: [32, 48], neighbours: 2")
    with pytest.raises(RecipeError, match=r"cascade\.first: unet does not take 5 channels.*in_channels: 5"):
        recipe(source(), changes=(neighbours,))
    five = ("preset: tiny}", "preset: tiny, options: {in_channels: 5}}")
    assert recipe(source(), changes=(neighbours, five)).canvas.channels == 5


def test_networks_of_five_channels_need_neighbours(recipe):
    with pytest.raises(RecipeError, match=r"cascade\.first: unet does not take 1 channels, .*canvas\.neighbours\.$"):
        recipe(source(), changes=(("preset: tiny}", "preset: tiny, options: {in_channels: 5}}"),))


def test_the_keys_outlive_being_written_down_and_read_again():
    for name in ("qiu2024_whole_body", "qiu2024_region"):
        recipe = read_recipe(find_recipe(name))
        assert Recipe.model_validate_json(recipe.model_dump_json()) == recipe
    assert read_recipe(find_recipe("qiu2024_whole_body")).data[1].mask_values == {
        1: "pancreas",
        2: "kidneys",
        3: "liver",
    }


def test_another_folder_of_pictures_is_read_as_the_recipe_s_own(recipe, project):
    recipe(source(mask_values={"1": "pancreas"}, pixel_mm=0.5, rows_with={"patient": "p0"}))
    (project / "other.yaml").write_text(recipe_on(project / "tiny.yaml", project / "slices"))
    (other,) = read_recipe(project / "other.yaml").data
    assert (other.mask_values, other.pixel_mm, other.rows_with) == ({1: "pancreas"}, 0.5, {})
