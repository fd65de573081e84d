"""Stage 2 starts from stage 1's weights where it begins to learn, once, whatever was interrupted."""

import pytest
import torch

from pancascade.errors import RecipeError
from pancascade.methods.cascades import qiu2024
from pancascade.methods.checkpoint import load_tensors
from pancascade.training import fit

pytestmark = pytest.mark.usefixtures("one_thread")

FIRST = (
    "first: {name: unet, preset: tiny}",
    "first: {name: multiscale_unet, options: {widths: [4, 4, 8, 8], centre: 8}}",
)
SECOND = ("second: {name: unet, preset: tiny}", "second: {name: focusing_net, preset: tiny}")
START = ("first_loss: dice_bce", "first_loss: dice_bce\n  second_start: first_stage")
AUGMENTATION = (
    "augmentation: {rotation_degrees: 10, scaling: 0.1, noise: 0.05, elastic_pixels: 1}",
    "augmentation: {}",
)
PHASES = "phases:\n  - {name: first, epochs: 1}\n  - {name: S, epochs: 1}\n"
QUICK = (("batch_size: 4", "batch_size: 8"), ("split: split.json, ", ""), ("bf16-mixed", "32-true"))


class StoppedError(Exception):
    """Somebody pulled the plug."""


def recipe_of(project, change_recipe):
    recipe = change_recipe(project, FIRST, SECOND, START, AUGMENTATION, *QUICK)
    recipe.write_text(recipe.read_text().replace("phases:\n  - {name: S, epochs: 1}\n", PHASES))
    return recipe


def test_the_weights_move_once_at_the_start_of_s_and_a_killed_run_moves_them_too(project, change_recipe, monkeypatch):
    moved, transfer = [], qiu2024.transfer_weights

    def spied(first, second):
        moved.append(transfer(first, second))
        same = first.state_dict()
        assert all(torch.equal(t, same[n]) for n, t in second.backbone.state_dict().items())
        return moved[-1]

    monkeypatch.setattr(qiu2024, "transfer_weights", spied)
    recipe, seen = recipe_of(project, change_recipe), []
    fit(recipe, project, out=project / "run", progress=lambda run, *_: seen.append((run.epoch, len(moved))))
    assert sorted(set(seen)) == [(0, 0), (1, 2)], "the weights that learn and their average, before S"
    assert moved == [274, 274]

    def stop(run, done, _):
        if run.epoch == 1 and done == 1:
            raise StoppedError

    with pytest.raises(StoppedError):
        fit(recipe, project, out=project / "killed", progress=stop)
    fit(recipe, project, out=project / "killed", resume=True)
    whole, again = (load_tensors(project / name / "last.safetensors")[0] for name in ("run", "killed"))
    assert all(torch.equal(tensor, again[name]) for name, tensor in whole.items())


def test_a_first_stage_that_has_learned_nothing_is_not_handed_on(project, change_recipe):
    recipe = change_recipe(project, FIRST, SECOND, START)
    with pytest.raises(RecipeError, match=r"learned nothing.*Begin with the phase first, or .*--start-from") as refused:
        fit(recipe, project, out=project / "run")
    assert len(str(refused.value)) <= 200
    assert not (project / "run").exists()
