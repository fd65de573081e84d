"""Objectives that alternate: accumulated apart, with shared moments or with optimisers of their own."""

import shutil

import numpy as np
import pytest
import torch
import yaml
from PIL import Image
from torch import nn

from pancascade.data.sampling import Batch
from pancascade.errors import CheckpointError, RecipeError
from pancascade.methods.checkpoint import load_tensors, save_tensors
from pancascade.training import fit, loop, read_recipe
from pancascade.training import run as run_module

pytestmark = pytest.mark.usefixtures("one_thread")

RECIPE = {
    "name": "alternating",
    "seed": 3,
    "cascade": {
        "kind": "lsnet",
        "first": {"name": "localization_net", "preset": "tiny"},
        "second": {"name": "resnet_unet", "preset": "tiny"},
        "margin": 2,
        "candidates": 1,
    },
    "canvas": {"size": [32, 48], "window": {"lower_hu": 0, "upper_hu": 255}},
    "data": [{"reader": "slice_folder", "folder": "slices", "window": {"lower_hu": 0, "upper_hu": 255}}],
    "batch_size": 2,
    "optimiser": {"kind": "adam", "learning_rate": 0.01, "weight_decay": 0},
    "phases": [{"name": "alternate", "epochs": 1}],
}
TWO_EPOCHS = [{"name": "alternate", "epochs": 2}]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Four slices, each with a bright box."""
    folder = tmp_path_factory.mktemp("alternating")
    random = np.random.default_rng(0)
    for part in ("images", "masks"):
        (folder / "slices" / part).mkdir(parents=True)
    for number in range(4):
        grey = random.integers(0, 80, (32, 48)).astype(np.uint8)
        mask = np.zeros((32, 48), bool)
        mask[6 + number : 20 + number, 10 : 30 + number] = True
        grey[mask] += 120
        Image.fromarray(grey).save(folder / "slices" / "images" / f"s{number}.png")
        Image.fromarray(mask).save(folder / "slices" / "masks" / f"s{number}.png")
    rows = ["name,patient", *(f"s{number},p{number}" for number in range(4))]
    (folder / "slices" / "index.csv").write_text("\n".join(rows) + "\n")
    return folder


@pytest.fixture(scope="module")
def done(folder):
    """A finished run with the earlier reading of the heatmap's loss, not to be changed."""
    recipe = write(folder / "r.yaml", cascade=RECIPE["cascade"] | {"heatmap_dice": "plain"})
    return fit(recipe, folder, out=folder / "done")


def write(path, *, optimiser=None, **changes):
    recipe = RECIPE | changes | {"optimiser": RECIPE["optimiser"] | (optimiser or {})}
    path.write_text(yaml.safe_dump(recipe))
    return path


class Alternating(nn.Module):
    """Two objectives of two weights: the first of one weight, the second of both, at the weights of the moment."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.tensor([1.0, 2.0]))

    def losses(self, images, labels, *, phase, generator):
        target = images.mean()
        yield {"one": (self.weight[0] - target).square()}
        yield {"both": (self.weight[0] * self.weight[1] - target).square()}


def batches():
    return [Batch(torch.full((1, 1, 4, 4), value), torch.zeros(1, 4, 4), ("a",)) for value in (0.2, 0.5, 0.9, 0.4)]


def steps_of(run, *, accumulate):
    run.recipe = run.recipe.model_copy(update={"accumulate": accumulate})
    run.cascade = Alternating()
    run.optimisers = (torch.optim.SGD(run.cascade.parameters(), lr=0.1),)
    return run


def test_accumulated_objectives_step_as_those_of_one_large_batch_do(folder, tmp_path):
    run = steps_of(run_module.start(read_recipe(write(tmp_path / "r.yaml")), tmp_path, device="cpu"), accumulate=4)
    found = {}
    for number, batch in enumerate(batches()):
        loop._add(found, loop._train_batch(run, batch, torch.Generator(), step_now=number == 3))
    assert run.step == 2
    assert run.pending == []
    targets = [0.2, 0.5, 0.9, 0.4]
    one, other = 1.0, 2.0
    first = sum((one - t) ** 2 for t in targets)
    one -= 0.1 * sum(2 * (one - t) for t in targets) / 4
    both = sum((one * other - t) ** 2 for t in targets)
    slope = sum(2 * (one * other - t) for t in targets) / 4
    one, other = one - 0.1 * slope * other, other - 0.1 * slope * one
    assert run.cascade.weight.tolist() == pytest.approx([one, other], rel=1e-5)
    assert found == pytest.approx({"one": first, "both": both}, rel=1e-5)


def test_a_round_that_an_epoch_leaves_incomplete_steps_along_both_objectives(folder, tmp_path):
    run = fit(write(tmp_path / "r.yaml", batch_size=1, accumulate=3), folder, out=tmp_path / "run")
    assert run.step == 2 * 2, "two rounds, the second of one batch, with two steps each"
    assert set(run.history[0]["losses"]) == {"heatmap", "box", "segmentation"}


def test_without_accumulation_each_objective_is_asked_for_after_the_step_before(folder, tmp_path):
    run = steps_of(run_module.start(read_recipe(write(tmp_path / "r.yaml")), tmp_path, device="cpu"), accumulate=1)
    for batch in batches():
        loop._train_batch(run, batch, torch.Generator(), step_now=True)
    one, other = 1.0, 2.0
    for target in (0.2, 0.5, 0.9, 0.4):
        one -= 0.1 * 2 * (one - target)
        slope = 2 * (one * other - target)
        one, other = one - 0.1 * slope * other, other - 0.1 * slope * one
    assert run.cascade.weight.tolist() == pytest.approx([one, other], rel=1e-5)


def test_each_objective_may_have_moments_of_its_own_and_a_resumed_run_has_them_again(folder, tmp_path, done):
    """The second optimiser has not seen the first objective's gradient: its moments of L-Net are those of L_S."""
    own = {"moments": "per_objective"}
    run = fit(write(tmp_path / "r.yaml", optimiser=own, phases=TWO_EPOCHS), folder, out=tmp_path / "whole")
    first, second = (one.state for one in run.optimisers)
    cascade = run.cascade
    assert not any(parameter in first for parameter in cascade.second.parameters())
    assert all(parameter in second for parameter in cascade.second.parameters())
    assert all(parameter in first for parameter in cascade.first.keypoint_head.parameters())
    assert not any(parameter in second for parameter in cascade.first.keypoint_head.parameters())
    assert all(int(state["step"]) == 4 for state in (*first.values(), *second.values()))
    (shared,) = (one.state for one in done.optimisers)
    assert {int(shared[parameter]["step"]) for parameter in done.cascade.first.distance_head.parameters()} == {4}
    fit(write(tmp_path / "half.yaml", optimiser=own), folder, out=tmp_path / "run")
    fit(tmp_path / "r.yaml", folder, out=tmp_path / "run", resume=True)
    whole, again = (load_tensors(tmp_path / name / "last.safetensors")[0] for name in ("whole", "run"))
    assert whole.keys() == again.keys()
    assert all(torch.equal(tensor, again[name]) for name, tensor in whole.items())
    assert {name.partition("/")[0] for name in whole} == {"cascade", "optimiser", "optimiser2"}


def test_a_run_does_not_go_on_with_other_moments(folder, tmp_path, done):
    plain = RECIPE["cascade"] | {"heatmap_dice": "plain"}
    recipe = write(tmp_path / "r.yaml", cascade=plain, optimiser={"moments": "per_objective"})
    with pytest.raises(RecipeError, match=r"optimiser\.moments from shared to per_objective") as refused:
        fit(recipe, folder, out=done.folder, resume=True)
    assert len(str(refused.value)) <= 200
    tensors, _ = load_tensors(done.folder / "last.safetensors")
    run = run_module.start(read_recipe(write(tmp_path / "s.yaml")), tmp_path / "other", device="cpu")
    tensors["optimiser2/0/step"] = torch.tensor(1.0)
    with pytest.raises(CheckpointError, match="holds no state of a run"):
        run_module.restore_state(
            tmp_path / "last.safetensors", tensors, cascade=run.cascade, average=None, optimisers=run.optimisers
        )


def test_moments_of_their_own_are_refused_where_there_is_one_objective(tmp_path):
    unet = {"name": "unet", "preset": "tiny"}
    changes = {"cascade": {"kind": "single_stage", "network": unet}, "phases": [{"name": "train", "epochs": 1}]}
    recipe = write(tmp_path / "r.yaml", optimiser={"moments": "per_objective"}, **changes)
    with pytest.raises(RecipeError, match="single_stage has one objective an iteration; leave it shared") as refused:
        read_recipe(recipe)
    assert len(str(refused.value)) <= 200


# ── readings from before they were options ──


@pytest.mark.parametrize("state_tells", [True, False], ids=["the state tells its recipe", "an older state"])
def test_a_run_from_before_a_reading_was_an_option_goes_on_as_it_began(folder, tmp_path, done, state_tells):
    shutil.copytree(done.folder, tmp_path / "run")
    last = tmp_path / "run" / "last.safetensors"
    tensors, header = load_tensors(last)
    old = write(tmp_path / "old.yaml", phases=TWO_EPOCHS)
    for name in ("heatmap_dice", "heatmap_normaliser", "regions", "distance_threshold"):
        del header["recipe"]["cascade"][name]
    del header["recipe"]["optimiser"]["moments"]
    if not state_tells:
        del header["recipe"]
    (tmp_path / "run" / "recipe.yaml").write_text(write(tmp_path / "before.yaml").read_text())
    save_tensors(last, tensors, header=header)
    run = fit(old, folder, out=tmp_path / "run", resume=True)
    assert run.epoch == 2
    assert run.recipe.cascade.heatmap_dice == "plain"
    named = write(tmp_path / "named.yaml", cascade=RECIPE["cascade"] | {"heatmap_dice": "squared"})
    with pytest.raises(RecipeError, match=r"cascade\.heatmap_dice from plain to squared"):
        fit(named, folder, out=tmp_path / "run", resume=True)


def test_a_run_from_now_on_tells_its_readings(folder, tmp_path, done):
    changed = write(tmp_path / "r.yaml")
    with pytest.raises(RecipeError, match=r"cascade\.heatmap_dice from plain to squared"):
        fit(changed, folder, out=done.folder, resume=True)
