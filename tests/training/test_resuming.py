"""Runs that go on: with a changed recipe, without best weights, from a state that is damaged."""

import json
import math
import re
import shutil

import pytest
import torch
import yaml
from safetensors.torch import load_file, save_file

from pancascade.errors import CheckpointError, RecipeError
from pancascade.methods.checkpoint import load_checkpoint, load_tensors, save_tensors
from pancascade.methods.weights_file import HEADER
from pancascade.training import fit
from pancascade.training.resumption import changes, described, require_resumable

REFUSED = {
    "network": (("second: {name: unet", "second: {name: focusing_net"), "cascade.second.name"),
    "margin": (("margin: 4", "margin: 5"), "cascade.margin from 4 to 5"),
    "canvas": (("size: [32, 48]", "size: [32, 64]"), "canvas.size.1 from 48 to 64"),
    "window": (("size: [32, 48], window: {lower_hu: 0", "size: [32, 48], window: {lower_hu: -9"), "lower_hu"),
    "window of pictures": (
        ("split.json, window: {lower_hu: 0", "split.json, window: {lower_hu: -9"),
        "data.0.window",
    ),
    "algorithm": (("kind: adamw", "kind: adam"), "optimiser.kind from adamw to adam"),
    "another algorithm": (("kind: adamw", "kind: sgd"), "optimiser.kind from adamw to sgd"),
    "groups": (
        ("gradient_clip: 5.0", "gradient_clip: 5.0, bias_factor: 2"),
        "optimiser.bias_factor from 1.0 to 2.0",
    ),
    "factors": (("gradient_clip: 5.0", "gradient_clip: 5.0, factors: {second: 10}"), "optimiser.factors.second"),
    "no average": (("average_decay: 0.9", ""), "average_decay from 0.9 to not set"),
    "precision": (("bf16-mixed", "32-true"), "precision from bf16-mixed to 32-true"),
}


@pytest.mark.parametrize(("change", "says"), REFUSED.values(), ids=REFUSED.keys())
def test_a_recipe_that_changed_the_network_or_its_input_is_another_run(finished, change_recipe, change, says):
    recipe = change_recipe(finished, change, one_epoch=False)
    before = {path.name: path.read_bytes() for path in (finished / "run").iterdir() if path.is_file()}
    with pytest.raises(RecipeError, match=re.escape(says)) as refused:
        fit(recipe, finished, out=finished / "run", resume=True)
    assert len(str(refused.value)) <= 200
    assert {path.name: path.read_bytes() for path in (finished / "run").iterdir() if path.is_file()} == before


def test_what_may_change_is_told_and_recipe_yaml_tells_it_too(finished, change_recipe, caplog):
    pairs = (("learning_rate: 0.03", "learning_rate: 0.01"), ("{name: J, epochs: 2}", "{name: J, epochs: 3}"))
    recipe = change_recipe(finished, *pairs, one_epoch=False)
    run = fit(recipe, finished, out=finished / "run", resume=True)
    assert run.epoch == 5
    assert "The recipe changed: optimiser.learning_rate from 0.03 to 0.01." in caplog.text
    assert "The recipe changed: phases.2.epochs from 2 to 3." in caplog.text
    lines = (finished / "run" / "recipe.yaml").read_text().splitlines(keepends=True)
    assert lines[:2] == [
        "# Until epoch 4: optimiser.learning_rate from 0.03 to 0.01.\n",
        "# Until epoch 4: phases.2.epochs from 2 to 3.\n",
    ]
    assert "".join(lines[2:]) == recipe.read_text()
    again = change_recipe(finished, ("{name: J, epochs: 3}", "{name: J, epochs: 4}"), one_epoch=False)
    fit(again, finished, out=finished / "run", resume=True)
    lines = (finished / "run" / "recipe.yaml").read_text().splitlines(keepends=True)
    assert lines[2] == "# Until epoch 5: phases.2.epochs from 3 to 4.\n"
    assert "".join(lines[3:]) == again.read_text()


def test_an_unchanged_recipe_is_not_told_and_stays_as_it_was(finished, caplog):
    before = (finished / "run" / "recipe.yaml").read_bytes()
    fit(finished / "tiny.yaml", finished, out=finished / "run", resume=True)
    assert [record for record in caplog.records if record.levelname == "WARNING"] == []
    assert (finished / "run" / "recipe.yaml").read_bytes() == before


@pytest.mark.parametrize("data", [[-math.inf], "x", 3])
def test_a_former_recipe_with_damaged_data_is_told_as_changed(finished, caplog, data):
    last = finished / "run" / "last.safetensors"
    tensors, header = load_tensors(last)
    save_file(tensors, last, metadata={HEADER: json.dumps({**header, "recipe": {**header["recipe"], "data": data}})})
    fit(finished / "tiny.yaml", finished, out=finished / "run", resume=True)
    assert "The recipe changed: data" in caplog.text


def without_recipe(finished):
    """The state of a run as older versions wrote it."""
    last = finished / "run" / "last.safetensors"
    tensors, header = load_tensors(last)
    del header["recipe"]
    save_file(tensors, last, metadata={HEADER: json.dumps(header)})


def test_a_state_of_an_older_version_is_compared_with_recipe_yaml(finished, change_recipe):
    without_recipe(finished)
    assert fit(finished / "tiny.yaml", finished, out=finished / "run", resume=True).epoch == 4
    recipe = change_recipe(finished, ("margin: 4", "margin: 5"), one_epoch=False)
    with pytest.raises(RecipeError, match=r"cascade\.margin from 4 to 5"):
        fit(recipe, finished, out=finished / "run", resume=True)


def test_where_no_recipe_is_left_to_compare_with_that_is_told(finished, caplog):
    without_recipe(finished)
    (finished / "run" / "recipe.yaml").unlink()
    fit(finished / "tiny.yaml", finished, out=finished / "run", resume=True)
    assert "recipe.yaml: missing or damaged" in caplog.text
    assert (finished / "run" / "recipe.yaml").read_text() == (finished / "tiny.yaml").read_text()


def longer(tensors):
    """Weights that fit no cascade, with a digest that is right."""
    return {name: torch.cat((tensor, tensor)) if tensor.dim() else tensor for name, tensor in tensors.items()}


@pytest.mark.parametrize("fault", ["gone", "damaged", "unfit"])
def test_best_weights_that_are_lost_are_told_and_those_of_the_last_epoch_take_their_place(finished, caplog, fault):
    best = finished / "run" / "best.safetensors"
    content = bytearray(best.read_bytes())
    tensors, header = load_tensors(best)
    best.unlink()
    if fault == "unfit":
        save_tensors(best, longer(tensors), header=header)
    if fault == "damaged":
        content[-3] ^= 1
        best.write_bytes(content)
    run = fit(finished / "tiny.yaml", finished, out=finished / "run", resume=True)
    reported = "gone" if fault == "gone" else "damaged"
    assert f"best.safetensors is {reported}: the weights of epoch 4 take its place" in caplog.text
    kept, description = load_checkpoint(best)
    assert description.training["epoch"] == 4
    wanted = run.kept.state_dict()
    assert all(torch.equal(value, wanted[name]) for name, value in kept.state_dict().items())
    assert run.best == run.history[-1]["dice"]["pancreas"]


def test_best_weights_of_another_run_are_told_and_not_kept_as_this_run_s(finished, caplog):
    best = finished / "run" / "best.safetensors"
    tensors, header = load_tensors(best)
    others = {name: tensor + 1 if tensor.is_floating_point() else tensor for name, tensor in tensors.items()}
    save_tensors(best, others, header=header)
    run = fit(finished / "tiny.yaml", finished, out=finished / "run", resume=True)
    assert "best.safetensors is of another run: the weights of epoch 4 take its place" in caplog.text
    wanted = run.kept.state_dict()
    assert all(torch.equal(value, wanted[name]) for name, value in load_checkpoint(best)[0].state_dict().items())
    caplog.clear()
    fit(finished / "tiny.yaml", finished, out=finished / "run", resume=True)
    assert "best.safetensors" not in caplog.text


def damage(**changes):
    def change(tensors, header):
        for key, value in changes.items():
            if value is None:
                del header[key]
            else:
                header[key] = value

    return change


def poison(tensors, header):
    name = next(name for name in tensors if name.startswith("optimiser") and name.endswith("exp_avg"))
    tensors[name] = torch.full_like(tensors[name], float("nan"))


def rename(tensors, header):
    name = next(name for name in tensors if name.startswith("optimiser"))
    tensors["optimiser/first/step"] = tensors.pop(name)


def lose_average(tensors, header):
    for name in [name for name in tensors if name.startswith("average")]:
        del tensors[name]


def lose_a_moment(tensors, header):
    del tensors[next(name for name in tensors if name.endswith("exp_avg_sq"))]


def misshape_a_moment(tensors, header):
    name = next(name for name in tensors if name.endswith("exp_avg_sq"))
    tensors[name] = torch.zeros(3, 1, 4)


def lose_a_count(part):
    def change(tensors, header):
        del tensors[next(name for name in tensors if name.startswith(part) and name.endswith("num_batches_tracked"))]

    return change


STATES = {
    **{f"no {key}": damage(**{key: None}) for key in ("epoch", "step", "best", "history")},
    **{
        f"{key} is {value!r}"[:40]: damage(**{key: value})
        for key, values in {
            "epoch": ("x", -1, 10**18, [], 1.5),
            "step": ({}, -1, "y"),
            "best": ("z", 7, []),
            "history": (3, "abc", [], [1, 2, 3, 4], [{}] * 4, {"a": 1}),
            "trained_on": ("x", [1], [{"data_set": 1}], [{"data_set": "a", "split": None, "patients": "p"}]),
            "recipe": (3, "x"),
        }.items()
        for value in values
    },
    "NaN in a moment": poison,
    "a strange name": rename,
    "no average": lose_average,
    "a moment is missing": lose_a_moment,
    "a moment of another shape": misshape_a_moment,
    **{f"a count of batches of {part} is missing": lose_a_count(part) for part in ("cascade", "average")},
}


@pytest.fixture(scope="module")
def plain_run(whole_run, tmp_path_factory):
    """A finished run of one small network, which is built in no time."""
    folder = tmp_path_factory.mktemp("plain") / "project"
    shutil.copytree(whole_run[0], folder, ignore=shutil.ignore_patterns("run"))
    recipe = yaml.safe_load((folder / "tiny.yaml").read_text())
    recipe["cascade"] = {"kind": "single_stage", "network": {"name": "unet", "preset": "tiny"}, "labels": ["pancreas"]}
    recipe["phases"] = [{"name": "train", "epochs": 4}]
    (folder / "tiny.yaml").write_text(yaml.safe_dump(recipe))
    fit(folder / "tiny.yaml", folder, out=folder / "run")
    return folder


@pytest.fixture
def plain(plain_run, tmp_path):
    """A copy of it, to be damaged."""
    return shutil.copytree(plain_run, tmp_path / "plain")


@pytest.mark.parametrize("change", STATES.values(), ids=STATES.keys())
def test_a_damaged_state_is_refused_in_one_sentence(plain, change):
    last = plain / "run" / "last.safetensors"
    tensors, header = load_tensors(last)
    change(tensors, header)
    save_file(tensors, last, metadata={HEADER: json.dumps(header)})
    before = last.read_bytes()
    with pytest.raises(CheckpointError, match=r"last\.safetensors: ") as refused:
        fit(plain / "tiny.yaml", plain, out=plain / "run", resume=True)
    assert len(str(refused.value)) <= 200
    assert "\n" not in str(refused.value)
    assert last.read_bytes() == before


def test_a_flipped_bit_in_a_state_is_refused(finished):
    last = finished / "run" / "last.safetensors"
    content = bytearray(last.read_bytes())
    content[-5000] ^= 1
    last.write_bytes(bytes(content))
    load_file(last)  # to safetensors it is a good file
    with pytest.raises(CheckpointError, match=r"last\.safetensors: damaged, it is not as it was written"):
        fit(finished / "tiny.yaml", finished, out=finished / "run", resume=True)


def test_weights_are_no_state_of_a_run(finished):
    best = load_tensors(finished / "run" / "best.safetensors")
    save_tensors(finished / "run" / "last.safetensors", best[0], header=best[1])
    with pytest.raises(CheckpointError, match="holds no usable state of a run"):
        fit(finished / "tiny.yaml", finished, out=finished / "run", resume=True)


def test_changes_are_found_at_any_depth_and_what_only_starts_a_run_is_none():
    former = {
        "name": "a",
        "data": [{"folder": "x", "keep": "all"}],
        "phases": [{"epochs": 1}],
        "pretrained": {"a": "b"},
    }
    now = {"name": "b", "data": [{"folder": "y", "keep": "all"}], "phases": [{"epochs": 1}, {"epochs": 2}]}
    found = changes(former, now)
    assert set(found) == {"data.0.folder", "phases"}
    assert described("data.0.folder", found["data.0.folder"]) == "data.0.folder from x to y"
    require_resumable(found)
    require_resumable({"average_decay": (0.9, 0.99)})


def test_a_changed_folder_is_named_by_its_last_part():
    reported = described("data.0.folder", ("/some/where/far/away/first", "/some/where/far/away/second"))
    assert reported == "data.0.folder from first to second"
