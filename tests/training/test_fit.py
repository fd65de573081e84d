import json
import subprocess
import sys

import pytest
import torch

from pancascade.checkpoint import load_checkpoint, load_tensors
from pancascade.errors import CheckpointError, OutputError
from pancascade.training import DivergedError, fit, loop, read_recipe

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")

CHILD = """
import os, signal, sys, warnings
warnings.simplefilter("ignore")
import torch
torch.set_num_threads(1)
from pathlib import Path
from pancascade.training import fit
folder, out, kill_at = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
def progress(run, done, batches):
    if kill_at == f"{run.epoch}:{done}":
        os.kill(os.getpid(), signal.SIGKILL)
fit(folder / "tiny.yaml", folder, out=out, resume="resume" in sys.argv, progress=progress)
"""


def run_apart(project, out, *arguments):
    command = [sys.executable, "-c", CHILD, str(project), str(project / out), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_a_run_killed_and_resumed_ends_with_the_same_bits_as_an_uninterrupted_one(project):
    assert run_apart(project, "whole", "never").returncode == 0
    killed = run_apart(project, "killed", "2:1")
    assert killed.returncode == -9
    assert len(json.loads((project / "killed" / "history.json").read_text())) == 2
    resumed = run_apart(project, "killed", "never", "resume")
    assert resumed.returncode == 0, resumed.stderr
    for name in ("last", "best"):
        whole, about_whole = load_tensors(project / "whole" / f"{name}.safetensors")
        again, about_again = load_tensors(project / "killed" / f"{name}.safetensors")
        assert whole.keys() == again.keys()
        assert all(torch.equal(whole[key], again[key]) for key in whole)
        assert about_whole.get("best") == about_again.get("best")
    names = set(load_tensors(project / "whole" / "last.safetensors")[0])
    assert {name.split("/")[0] for name in names} == {"cascade", "average", "optimiser"}


@pytest.fixture
def run(project):
    return fit(project / "tiny.yaml", project, out=project / "run")


def test_a_run_leaves_its_recipe_checkpoints_log_and_picture(project, run):
    files = {path.name for path in (project / "run").iterdir()}
    assert files == {
        "recipe.yaml",
        "best.safetensors",
        "last.safetensors",
        "history.json",
        "validation.png",
        "tensorboard",
    }
    assert [epoch["phase"] for epoch in run.history] == ["S", "I", "J", "J"]
    assert all(0 <= epoch["dice"]["pancreas"] <= 1 for epoch in run.history)
    assert "boundary" not in run.history[0]["losses"]
    assert set(run.history[3]["losses"]) == {"first", "second", "boundary"}


def test_the_best_checkpoint_is_the_averaged_cascade_of_the_best_epoch(project, run):
    cascade, description = load_checkpoint(project / "run" / "best.safetensors")
    best = max(run.history, key=lambda epoch: epoch["dice"]["pancreas"])
    assert description.training["validation_dice"] == best["dice"]
    assert description.training["recipe"]["name"] == "tiny"
    assert description.cascade.first.options["widths"] == [4, 4, 8, 8, 8] or description.cascade.first.options[
        "widths"
    ] == (4, 4, 8, 8, 8)
    if best["epoch"] == run.epoch:
        assert all(torch.equal(a, b) for a, b in zip(cascade.parameters(), run.average.parameters(), strict=True))


def test_a_folder_with_a_run_is_not_overwritten(project, run):
    with pytest.raises(OutputError, match="--resume"):
        fit(project / "tiny.yaml", project, out=project / "run")


def test_a_finished_run_resumes_to_nothing_left_to_do(project, run):
    before = (project / "run" / "last.safetensors").read_bytes()
    again = fit(project / "tiny.yaml", project, out=project / "run", resume=True)
    assert again.epoch == 4
    assert (project / "run" / "last.safetensors").read_bytes() == before


def test_a_run_of_another_recipe_cannot_be_resumed(project, run):
    recipe = project / "tiny.yaml"
    recipe.write_text(recipe.read_text().replace("second: {name: focusing_net", "second: {name: unet"))
    with pytest.raises(CheckpointError, match="another recipe"):
        fit(recipe, project, out=project / "run", resume=True)


def test_training_lowers_the_loss(project, run):
    first = [epoch["losses"]["first"] for epoch in run.history]
    assert first[-1] < first[0]


def test_a_loss_that_is_no_number_stops_training_and_names_the_slices(project, monkeypatch):
    monkeypatch.setattr(loop, "build_cascade", lambda settings, build=loop.build_cascade: _break(build(settings)))
    with pytest.raises(DivergedError, match=r"phase S, epoch 1, slices p\d_z\d"):
        fit(project / "tiny.yaml", project, out=project / "run")


def _break(cascade):
    torch.nn.init.constant_(cascade.first.head.bias, float("nan"))
    return cascade


def test_a_split_can_be_drawn_and_is_written_down(project):
    recipe = project / "tiny.yaml"
    recipe.write_text(recipe.read_text().replace("split: split.json", "split: seeded"))
    fit(recipe, project, out=project / "run")
    split = json.loads((project / "run" / "split_slices.json").read_text())
    assert sorted(split["train"] + split["validation"] + split["test"]) == [f"p{i}" for i in range(6)]


def test_a_missing_optional_source_is_left_out(project, caplog):
    recipe = project / "tiny.yaml"
    more = "  - {reader: slice_folder, folder: absent, optional: true}\naugmentation:"
    recipe.write_text(recipe.read_text().replace("augmentation:", more))
    assert fit(recipe, project, out=project / "run").epoch == 4
    assert "absent: not found" in caplog.text


def test_accumulated_batches_make_one_step(project):
    recipe = project / "tiny.yaml"
    recipe.write_text(recipe.read_text().replace("batch_size: 4", "batch_size: 4\naccumulate: 2"))
    assert fit(recipe, project, out=project / "run").step == 4


def test_a_run_can_start_from_the_weights_of_another(project, run):
    weights = project / "run" / "best.safetensors"
    again = loop._start(read_recipe(project / "tiny.yaml"), project / "again", device="cpu", start_from=weights)
    best, _ = load_checkpoint(weights)
    assert all(torch.equal(a, b) for a, b in zip(best.parameters(), again.cascade.parameters(), strict=True))
