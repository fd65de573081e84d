import json
import math
import signal

import pytest
import torch
from killed_runs import exit_code_of_run

from pancascade.data.sampling import Batch
from pancascade.errors import CheckpointError, OutputError, RecipeError
from pancascade.methods.checkpoint import load_checkpoint, load_tensors, save_tensors
from pancascade.methods.weights_file import read_header
from pancascade.training import DivergedError, fit, loop, read_recipe
from pancascade.training import run as run_module


def without_times(history):
    return [{key: value for key, value in epoch.items() if key != "seconds"} for epoch in history]


@pytest.mark.slow
@pytest.mark.usefixtures("one_thread")
def test_a_run_killed_twice_and_resumed_ends_with_the_same_bits_as_an_uninterrupted_one(whole_run):
    project, _ = whole_run
    # Killed while the second epoch's state is half on the disk, and its best checkpoint wholly.
    assert exit_code_of_run(project, kill_at="writing 2") == -signal.SIGKILL
    assert len(json.loads((project / "killed" / "history.json").read_text())) == 1
    # Killed in the middle of the third epoch.
    assert exit_code_of_run(project, kill_at="batch 2:1", resume=True) == -signal.SIGKILL
    assert len(json.loads((project / "killed" / "history.json").read_text())) == 2
    fit(project / "tiny.yaml", project, out=project / "killed", resume=True)
    for name in ("last", "best"):
        whole, about_whole = load_tensors(project / "run" / f"{name}.safetensors")
        again, about_again = load_tensors(project / "killed" / f"{name}.safetensors")
        assert whole.keys() == again.keys()
        assert [key for key in whole if not torch.equal(whole[key], again[key])] == []
        for about in (about_whole, about_again):
            about["history"] = without_times(about.get("history", []))
        assert about_whole == about_again
    names = set(load_tensors(project / "run" / "last.safetensors")[0])
    assert {name.split("/")[0] for name in names} == {"cascade", "average", "optimiser"}
    assert {name.split("/")[-1] for name in names if name.startswith("optimiser")} == {"step", "exp_avg", "exp_avg_sq"}


def test_a_run_leaves_its_recipe_checkpoints_log_and_picture(whole_run):
    project, run = whole_run
    files = {path.name for path in (project / "run").iterdir()}
    assert files == {
        "recipe.yaml",
        "best.safetensors",
        "last.safetensors",
        "history.json",
        "validation.png",
        "tensorboard",
    }
    assert (project / "run" / "recipe.yaml").read_text() == (project / "tiny.yaml").read_text()
    assert json.loads((project / "run" / "history.json").read_text()) == run.history
    assert [(epoch["epoch"], epoch["phase"]) for epoch in run.history] == [(1, "S"), (2, "I"), (3, "J"), (4, "J")]
    assert all(0 <= epoch["dice"]["pancreas"] <= 1 for epoch in run.history)
    assert set(run.history[0]["losses"]) == {"first", "second"}
    assert set(run.history[3]["losses"]) == {"first", "second", "boundary"}


def test_the_best_checkpoint_is_of_the_epoch_with_the_best_validation(whole_run):
    project, run = whole_run
    _, description = load_checkpoint(project / "run" / "best.safetensors")
    best = max(run.history, key=lambda epoch: epoch["dice"]["pancreas"])
    assert best["epoch"] not in (1, run.epoch), "this recipe no longer tells the best epoch from the first or last"
    assert run.best == best["dice"]["pancreas"]
    assert description.training["epoch"] == best["epoch"]
    assert description.training["validation_dice"] == best["dice"]
    assert description.training["recipe"]["name"] == "tiny"
    assert tuple(description.cascade.first.options["widths"]) == (4, 4, 8, 8, 8)


def test_averaged_weights_are_kept_where_the_recipe_wants_an_average(project, change_recipe):
    run = fit(change_recipe(project), project, out=project / "run", resume=True)  # there is nothing to resume yet
    kept, average = load_checkpoint(project / "run" / "best.safetensors")[0].state_dict(), run.average.state_dict()
    assert all(torch.equal(value, average[name]) for name, value in kept.items())
    current = run.cascade.state_dict()
    assert not all(torch.equal(value, current[name]) for name, value in kept.items())


def test_progress_is_told_after_every_batch_and_the_schedule_spans_all_epochs(project, change_recipe):
    reported, rates = [], []

    def progress(run, done, batches):
        reported.append((run.epoch, done, batches))
        rates.append(run.optimisers[0].param_groups[0]["lr"])

    recipe = change_recipe(project, ("average_decay: 0.9", ""), ("name: S, epochs: 1", "name: first, epochs: 2"))
    run = fit(recipe, project, out=project / "run", progress=progress)
    assert reported == [(0, 1, 2), (0, 2, 2), (1, 1, 2), (1, 2, 2)]
    shares = [0.5 * (1 + math.cos(math.pi * step / 4)) for step in range(4)]
    assert rates == pytest.approx([0.03 * share * warm for share, warm in zip(shares, (0.5, 1, 1, 1), strict=True)])
    assert run.kept is run.cascade


def test_a_folder_with_a_run_is_not_overwritten(finished):
    before = (finished / "run" / "last.safetensors").read_bytes()
    with pytest.raises(OutputError, match="--resume"):
        fit(finished / "tiny.yaml", finished, out=finished / "run")
    assert (finished / "run" / "last.safetensors").read_bytes() == before


def test_a_finished_run_resumes_to_nothing_left_to_do(finished):
    before = (finished / "run" / "last.safetensors").read_bytes()
    again = fit(finished / "tiny.yaml", finished, out=finished / "run", resume=True)
    assert again.epoch == 4
    assert (finished / "run" / "last.safetensors").read_bytes() == before


def test_a_run_of_another_recipe_cannot_be_resumed(finished, change_recipe):
    change = ("second: {name: unet", "second: {name: focusing_net")
    recipe = change_recipe(finished, change, one_epoch=False)
    with pytest.raises(RecipeError, match=r"the recipe changed cascade\.second\.name from unet to focusing_net"):
        fit(recipe, finished, out=finished / "run", resume=True)


def test_a_damaged_state_is_refused_and_kept(finished):
    last = finished / "run" / "last.safetensors"
    last.write_bytes(last.read_bytes()[:-1000])
    with pytest.raises(CheckpointError, match=r"last\.safetensors"):
        fit(finished / "tiny.yaml", finished, out=finished / "run", resume=True)
    assert last.exists()


def test_training_lowers_the_loss(whole_run):
    first = [epoch["losses"]["first"] for epoch in whole_run[1].history]
    assert first[-1] < first[0]


def test_a_loss_that_is_no_number_stops_training_and_names_the_slices(project, monkeypatch):
    def broken(settings, build=run_module.build_cascade):
        cascade = build(settings)
        torch.nn.init.constant_(cascade.first.head.bias, float("nan"))
        return cascade

    monkeypatch.setattr(run_module, "build_cascade", broken)
    names = r"slices (p[0-3]_z[01](, )?){4} \(first nan"
    with pytest.raises(DivergedError, match=rf"phase S, epoch 1, {names}"):
        fit(project / "tiny.yaml", project, out=project / "run")
    assert not (project / "run").exists()


def test_accumulated_batches_make_one_step(project, change_recipe):
    recipe = change_recipe(project, ("batch_size: 4", "batch_size: 2\naccumulate: 3"))
    run = fit(recipe, project, out=project / "run")
    # Four batches: three make a step, the last one makes its own.
    assert run.step == 2


def test_the_schedule_counts_steps_not_batches(project, change_recipe):
    """Eight batches of one, two a step: warm-up 1/2 and 2/2 of the rate in steps 0 and 1, cosine over 4 steps."""
    recipe = change_recipe(project, ("batch_size: 4", "batch_size: 1\naccumulate: 2"))
    rates = []
    fit(
        recipe,
        project,
        out=project / "run",
        progress=lambda run, done, batches: rates.append(run.optimisers[0].param_groups[0]["lr"]),
    )
    share = [0.5 * (1 + math.cos(math.pi * step / 4)) * warm for step, warm in enumerate((0.5, 1, 1, 1))]
    assert rates == pytest.approx([0.03 * share[step] for step in (0, 0, 1, 1, 2, 2, 3, 3)])


def test_a_run_can_start_from_the_weights_of_another(whole_run):
    project, _ = whole_run
    weights = project / "run" / "best.safetensors"
    again = run_module.start(read_recipe(project / "tiny.yaml"), project / "again", device="cpu", start_from=weights)
    best, _ = load_checkpoint(weights)
    for started in (again.cascade, again.average):
        assert all(torch.equal(a, b) for a, b in zip(best.parameters(), started.parameters(), strict=True))


def test_weights_of_another_cascade_cannot_be_started_from(whole_run, tmp_path):
    header = read_header(whole_run[0] / "run" / "best.safetensors")
    save_tensors(tmp_path / "other.safetensors", {"weight": torch.zeros(1)}, header=header)
    recipe = read_recipe(whole_run[0] / "tiny.yaml")
    with pytest.raises(CheckpointError, match="do not fit"):
        run_module.start(recipe, tmp_path, device="cpu", start_from=tmp_path / "other.safetensors")


BATCH = Batch(torch.rand(1, 1, 32, 48), torch.zeros(1, 32, 48, dtype=torch.uint8), ("a",))


def started(project, change_recipe, *pairs):
    recipe = read_recipe(change_recipe(project, ("precision: bf16-mixed", "precision: 32-true"), *pairs))
    return run_module.start(recipe, project / "run", device="cpu")


def test_gradients_of_accumulated_batches_are_averaged(project, change_recipe, monkeypatch):
    run = started(project, change_recipe, ("batch_size: 4", "batch_size: 4\naccumulate: 4"))
    weight = run.cascade.first.head.bias
    monkeypatch.setattr(run.cascade, "losses", lambda *_, **__: iter([{"loss": 2 * weight.sum()}]))
    for _ in range(3):
        loop._train_batch(run, BATCH, torch.Generator(), step_now=False)
    assert weight.grad.tolist() == [1.5]
    assert run.step == 0


def test_a_clipped_gradient_moves_the_weights_no_further(project, change_recipe):
    plain_sgd = "{kind: sgd, momentum: 0.0, weight_decay: 0.0, learning_rate: 0.5, gradient_clip: 0.2}"
    old = "{kind: adamw, learning_rate: 0.03, schedule: cosine, warmup_steps: 2, gradient_clip: 5.0}"
    run = started(project, change_recipe, (old, plain_sgd))
    before = [p.detach().clone() for p in run.cascade.parameters()]
    for p in run.cascade.parameters():
        p.grad = torch.full_like(p, 3.0)
    loop._step(run)
    moved = torch.cat([(p - b).flatten() for p, b in zip(run.cascade.parameters(), before, strict=True)])
    assert float(moved.detach().norm()) == pytest.approx(0.5 * 0.2, rel=1e-3)
    assert all(p.grad is None for p in run.cascade.parameters())


def test_a_step_is_taken_before_the_next_objective_is_asked_for(project, change_recipe, monkeypatch):
    run = started(project, change_recipe)
    weight, seen = run.cascade.first.head.bias, []

    def objectives(images, labels, *, phase, generator):
        for name in ("one", "other"):
            seen.append(float(weight.detach()))
            yield {name: weight.sum(), f"half {name}": 0.5 * weight.sum()}

    monkeypatch.setattr(run.cascade, "losses", objectives)
    found = loop._train_batch(run, BATCH, torch.Generator(), step_now=True)
    assert list(found) == ["one", "half one", "other", "half other"]
    assert seen[1] < seen[0]
    assert run.step == 2


@pytest.mark.parametrize("bad", [float("inf"), float("-inf"), float("nan")])
def test_no_step_is_taken_along_a_loss_that_is_no_number(project, change_recipe, monkeypatch, bad):
    run = started(project, change_recipe)
    weight = run.cascade.first.head.bias
    before = weight.detach().clone()
    losses = {"good": weight.sum(), "bad": bad * weight.sum()}
    monkeypatch.setattr(run.cascade, "losses", lambda *_, **__: iter([losses]))
    with pytest.raises(DivergedError, match=r"slices a \(good .*, bad (-?inf|nan)\)"):
        loop._train_batch(run, BATCH, torch.Generator(), step_now=True)
    assert torch.equal(weight, before)
