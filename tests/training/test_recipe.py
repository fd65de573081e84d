import re

import pytest
import torch
from pydantic import ValidationError

from pancascade.data.splits.split_designs import DESIGNS
from pancascade.errors import RecipeError
from pancascade.methods.cascades import Qiu2024Settings, build_cascade
from pancascade.training import find_recipe, fit, read_recipe
from pancascade.training.recipe import recipes_folder


@pytest.mark.parametrize("path", sorted(recipes_folder().glob("*.yaml")), ids=lambda path: path.stem)
def test_every_shipped_recipe_is_valid_and_bears_its_file_s_name(path):
    assert read_recipe(path).name == path.stem


def test_the_paper_s_recipe_has_the_paper_s_hyper_parameters():
    recipe = read_recipe(find_recipe("qiu2024"))
    optimiser = recipe.optimiser
    assert (optimiser.kind, optimiser.learning_rate, optimiser.momentum, optimiser.weight_decay) == (
        "sgd",
        1e-5,
        0.9,
        1e-7,
    )
    assert optimiser.schedule == "constant"
    assert recipe.batch_size == 1
    assert [(phase.name, phase.epochs) for phase in recipe.phases] == [("S", 2), ("I", 4), ("J", 50)]
    assert recipe.cascade == Qiu2024Settings()


def test_an_unknown_key_is_refused_with_the_nearest_valid_one(project):
    recipe = project / "tiny.yaml"
    recipe.write_text(recipe.read_text().replace("batch_size", "batchsize"))
    with pytest.raises(RecipeError, match=r"tiny\.yaml: unknown key 'batchsize'\. Did you mean 'batch_size'"):
        read_recipe(recipe)


def test_a_nested_unknown_key_is_named_with_its_place(project):
    recipe = project / "tiny.yaml"
    recipe.write_text(recipe.read_text().replace("  margin: 4", "  margn: 4"))
    with pytest.raises(RecipeError, match=r"margn.*'margin'"):
        read_recipe(recipe)


def test_a_phase_that_the_cascade_does_not_know_is_refused(project):
    recipe = project / "tiny.yaml"
    recipe.write_text(recipe.read_text().replace("name: S", "name: Q"))
    with pytest.raises(RecipeError, match="phase 'Q' is unknown"):
        read_recipe(recipe)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("batch_size: 4", "batch_size: four", r"tiny\.yaml: batch_size: .*'four'"),
        ("batch_size: 4", "batch_size: 0", "batch_size: .*greater than 0"),
        ("size: [32, 48]", "size: [32, 40]", r"canvas\.slices\.size: .*multiples of 16, got \(32, 40\)"),
        ("crop_size: [32, 32]", "crop_size: [32, 0]", "crop_size: .*positive multiples of 16"),
        ("kind: qiu2024", "kind: qiu2025", "cascade: .*'lsnet', 'qiu2024', 'single_stage'"),
        ("average_decay: 0.9", "average_decay: 1", "average_decay: .*less than 1"),
        ("epochs: 2", "epochs: 0", r"phases\.2\.epochs: .*greater than 0"),
        ("{lower_hu: 0, upper_hu: 255}}\ndata", "{lower_hu: 9, upper_hu: 9}}\ndata", "lower_hu .* must be < upper_hu"),
        ("reader: slice_folder", "reader: slices", r"data\.0\.reader: .*'slice_folder'"),
        ("first_labels: [pancreas]", "first_labels: [liver]", "first_labels.*'pancreas' or 'tumour'"),
        ("first_labels: [pancreas]", "first_labels: []", "first_labels.*at least 1 item"),
    ],
)
def test_a_wrong_value_is_refused_with_its_place_and_what_is_valid(project, old, new, message):
    recipe = project / "tiny.yaml"
    assert old in recipe.read_text()
    recipe.write_text(recipe.read_text().replace(old, new))
    with pytest.raises(RecipeError, match=message):
        read_recipe(recipe)


@pytest.mark.parametrize("text", ["a: [", "- 1", "", "name: x"])
def test_what_is_no_recipe_is_refused_in_one_sentence(tmp_path, text):
    path = tmp_path / "r.yaml"
    path.write_text(text)
    with pytest.raises(RecipeError, match=r"r\.yaml") as caught:
        read_recipe(path)
    assert len(str(caught.value)) < 500


def test_a_recipe_is_found_by_name_or_path(project):
    assert find_recipe("qiu2024").name == "qiu2024.yaml"
    assert find_recipe("qiu2024.yaml").name == "qiu2024.yaml"
    assert find_recipe(str(project / "tiny.yaml")) == project / "tiny.yaml"
    with pytest.raises(RecipeError, match=r"nothing: no such recipe.*Shipped ones, like qiu2024"):
        find_recipe("nothing")
    with pytest.raises(RecipeError, match=r"Did you mean the shipped qiu2024_demo\?"):
        find_recipe("qiu2024_dmo")


def test_a_recipe_cannot_be_changed_once_read(project):
    recipe = read_recipe(project / "tiny.yaml")
    with pytest.raises(ValidationError, match="frozen"):
        recipe.seed = 3


@pytest.mark.parametrize("path", sorted(recipes_folder().glob("*.yaml")), ids=lambda path: path.stem)
def test_every_shipped_recipe_names_networks_splits_and_lists_that_exist(path):
    recipe = read_recipe(path)
    with torch.device("meta"):
        build_cascade(recipe.cascade)
    for source in recipe.data:
        assert source.split in (None, *DESIGNS) or (recipes_folder() / source.split).is_file()
        assert source.reader != "volume_list" or (recipes_folder() / source.folder).is_file()
    assert set(recipe.optimiser.factors) <= {"first", "second", "saliency"}


def test_the_phase_of_an_epoch_follows_the_phases(project):
    recipe = read_recipe(project / "tiny.yaml")
    assert [recipe.phase_of(epoch) for epoch in range(recipe.epochs)] == ["S", "I", "J", "J"]
    with pytest.raises(IndexError):
        recipe.phase_of(4)


def test_a_key_that_is_written_twice_is_refused(project):
    recipe = project / "tiny.yaml"
    recipe.write_text(recipe.read_text() + "\nbatch_size: 2\nbatch_size: 3\n")
    with pytest.raises(RecipeError, match=r"tiny\.yaml: not a readable YAML file \('batch_size' is written twice"):
        read_recipe(recipe)


WIDTHS = "first: {{name: unet, options: {{widths: {widths}}}}}"


@pytest.mark.parametrize(
    ("widths", "says"),
    [
        ("[0, 0, 0, 0, 0]", "a width of 0"),
        ("[-1, 4, 8, 8, 8]", "a negative width"),
        ("[100000, 100000, 100000, 100000, 100000]", "parameters, and at most 300,000,000 are built"),
        ("[1000000000000, 4, 8, 8, 8]", "widths has values that no network has"),
        (str([4] * 100), "widths has values that no network has"),
        ("[.nan, 4, 8, 8, 8]", "widths has values that no network has"),
        ("text", "these options"),
        ("3", "these options"),
        ("[]", "these options"),
        ("[[4], [4]]", "these options"),
        ("null", "these options"),
    ],
)
def test_widths_of_which_no_network_comes_are_one_sentence_and_cost_no_memory(project, widths, says):
    recipe = project / "tiny.yaml"
    recipe.write_text(recipe.read_text().replace("first: {name: unet, preset: tiny}", WIDTHS.format(widths=widths)))
    with pytest.raises(RecipeError, match=r"^tiny\.yaml: Network 'unet' does not take .*" + says) as refused:
        fit(recipe, project, out=project / "run")
    assert len(str(refused.value)) <= 200
    assert not (project / "run").exists()


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("seed: 5", "seed: 9223372036854775808", "seed: should be less than 4294967296"),
        ("seed: 5", "seed: -1", "seed: should be greater than or equal to 0"),
        ("seed: 5", f"seed: {'9' * 5000}", "a number of 5000 digits"),
        ("name: tiny", "name: 2024-13-45\nbatch_size: 0", "batch_size"),
        ("{name: S, epochs: 1}", "{name: S, epochs: 1000000000}", "phases.0.epochs: should be less than or equal"),
        ("split: split.json", "split: split.json, per_epoch: 1000000000000", "data.0.per_epoch: should be less than"),
        ("size: [32, 48]", "size: [160000, 48]", "at most 8192"),
        ("crop_size: [32, 32]", "crop_size: [32, 160000]", "at most 8192"),
        ("  margin: 4", "  margin: -4", "margin: should be greater than or equal to 0"),
        ("  margin: 4", "  margin: 4\n  first_scale: 1000000", "first_scale: should be less than or equal to 4"),
        ("  margin: 4", "  margin: 4\n  alpha: .nan", "alpha: should be a finite number"),
        ("  margin: 4", "  margin: 4\n  alpha: 1e999", "alpha: should be a finite number"),
        ("kind: qiu2024", f"kind: {'q' * 5000}", "cascade: 'qqq"),
        ("batch_size: 4", f"{'b' * 500}: 4", "unknown key 'bbb"),
        ("batch_size: 4", f"batch_size: {'b' * 5000}", "batch_size: should be a valid integer"),
    ],
)
def test_values_beyond_all_bounds_are_one_short_sentence(project, old, new, says):
    recipe = project / "tiny.yaml"
    assert old in recipe.read_text()
    recipe.write_text(recipe.read_text().replace(old, new, 1))
    with pytest.raises(RecipeError, match=re.escape(says)) as refused:
        read_recipe(recipe)
    message = str(refused.value)
    assert message.startswith("tiny.yaml: ")
    assert len(message) <= 200
    assert "\n" not in message
    assert "Value error" not in message
    assert "pydantic" not in message


def test_a_date_as_a_name_is_text(project):
    recipe = project / "tiny.yaml"
    recipe.write_text(recipe.read_text().replace("name: tiny", "name: 2024-02-30"))
    assert read_recipe(recipe).name == "2024-02-30"


@pytest.mark.parametrize("option", ["crop_reference: second_stage", "recurrence_rounds: 3"])
def test_options_that_need_both_stages_to_find_the_same_are_refused_elsewhere(project, option):
    recipe = project / "tiny.yaml"
    same = recipe.read_text().replace("  margin: 4", f"  margin: 4\n  {option}")
    recipe.write_text(same)
    read_recipe(recipe)
    recipe.write_text(same.replace("second_labels: [pancreas]", "second_labels: [tumour]"))
    with pytest.raises(RecipeError, match="is for cascades whose stages have the same target"):
        read_recipe(recipe)
