"""Trainings by two processes: the weights of one process, its files, and what happens when one of them fails."""

import json
import os
import signal
from multiprocessing import active_children

import killed_runs
import numpy as np
import pytest
import torch
from PIL import Image
from pydantic import TypeAdapter
from safetensors.torch import load_file

from pancascade.errors import DataError, PancascadeError, RecipeError
from pancascade.methods.cascades import CascadeSettings, build_cascade
from pancascade.training import fit, rank_processes
from pancascade.training.group import ProcessLostError, Share
from pancascade.training.processes import TrainingRequest, fit_in_processes

ONE_NETWORK = """
name: tiny
seed: 5
cascade: {kind: single_stage, network: {name: unet, preset: tiny}}
canvas: {size: [32, 48], window: {lower_hu: 0, upper_hu: 255}}
data:
  - {reader: slice_folder, folder: slices, split: split.json, window: {lower_hu: 0, upper_hu: 255}}
augmentation: {rotation_degrees: 10, scaling: 0.1, noise: 0.05, elastic_pixels: 1}
batch_size: 3
optimiser: {kind: sgd, learning_rate: 0.05, gradient_clip: 5.0}
phases:
  - {name: train, epochs: 2}
average_decay: 0.9
"""
UNVALIDATED = ("split: split.json", "split: split.json, validate_on: false")
TOLERANCE = 1e-5
"""Of weights of the order of 0.1 to 1: sums are added in another order."""

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("one_thread")]


@pytest.fixture(autouse=True)
def quick_starts(monkeypatch):
    monkeypatch.setattr(rank_processes, "_SPAWN", killed_runs.quick_starts())
    for name in ("TORCHELASTIC_RUN_ID", "SLURM_STEP_NUM_TASKS", "MASTER_ADDR", "MASTER_PORT", "NODE_RANK"):
        monkeypatch.delenv(name, raising=False)


def write(project, text, *changes):
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    (project / "r.yaml").write_text(text)
    return project / "r.yaml"


def two(project, out="two", *, progress=None, resume=False, **choices):
    training = {"recipe": project / "r.yaml", "data": project, "out": project / out, "resume": resume}
    training |= {"start_from": None, "device": "cpu", "devices": 2, "nodes": 1} | choices
    return fit_in_processes(TrainingRequest(**training), progress=progress)


def require_same(project):
    one, both = (load_file(project / name / "last.safetensors") for name in ("one", "two"))
    assert one.keys() == both.keys()
    apart = {name: float((one[name].double() - both[name].double()).abs().max()) for name in one}
    assert max(apart.values()) < TOLERANCE, sorted(apart.items(), key=lambda each: -each[1])[:5]
    histories = [json.loads((project / name / "history.json").read_text()) for name in ("one", "two")]
    for alone, together in zip(*histories, strict=True):
        assert together["losses"] == pytest.approx(alone["losses"], abs=TOLERANCE)
        assert together["dice"] == pytest.approx(alone["dice"], abs=0.01)


def test_processes_that_share_batches_learn_what_one_learns_and_go_on_where_they_stopped(project):
    """Eight slices are batches of 3, 3 and 2: shares of one and two slices, whose statistics count as many."""
    recipe = write(project, ONE_NETWORK)
    fit(recipe, project, out=project / "one")
    write(project, ONE_NETWORK, ("epochs: 2", "epochs: 1"))
    reported = []
    first = two(project, progress=lambda run, done, batches: reported.append((run.epoch, done, batches)))
    assert [epoch["epoch"] for epoch in first] == [1]
    assert reported == [(0, 1, 3), (0, 2, 3), (0, 3, 3)]
    write(project, ONE_NETWORK)
    assert [epoch["epoch"] for epoch in two(project, resume=True)] == [1, 2]
    require_same(project)
    files = [{path.name for path in (project / name).iterdir()} for name in ("one", "two")]
    assert files[0] == files[1]
    assert len(list((project / "two" / "tensorboard").iterdir())) == 2  # one of each start, by one process


def test_processes_that_take_batches_in_turn_learn_what_one_learns(project):
    changes = (("batch_size: 3", "batch_size: 2\naccumulate: 2"), UNVALIDATED)
    recipe = write(project, ONE_NETWORK, *changes)
    fit(recipe, project, out=project / "one")
    two(project)
    require_same(project)


def test_a_process_without_image_for_the_second_network_waits_for_nobody(project):
    for path in (project / "slices" / "masks").glob("p[0-2]_z*.png"):
        Image.fromarray(np.zeros((32, 48), bool)).save(path)
    text = (project / "tiny.yaml").read_text()
    text = text[: text.index("phases:")] + "phases: [{name: S, epochs: 1}]\n"
    changes = (("precision: bf16-mixed", "precision: 32-true"), ("batch_size: 4", "batch_size: 2"), UNVALIDATED)
    recipe = write(project, text, *changes)
    fit(recipe, project, out=project / "one")
    two(project)
    one, both = (load_file(project / name / "last.safetensors") for name in ("one", "two"))
    counts = {name: int(value) for name, value in one.items() if name.endswith("num_batches_tracked")}
    assert {name: int(both[name]) for name in counts} == counts
    assert len(set(counts.values())) == 2  # the second network saw fewer batches


def test_a_process_that_is_killed_ends_the_run_with_one_sentence_and_leaves_nothing(project):
    write(project, ONE_NETWORK)
    others = set(active_children())  # of tests before this one

    def kill(run, done, batches):
        os.kill(max(child.pid for child in set(active_children()) - others if child.pid), signal.SIGKILL)

    with pytest.raises(ProcessLostError, match=r"^Process [12] of 2 of the training was killed, .* with --resume\.$"):
        two(project, progress=kill)
    assert set(active_children()) <= others
    assert not (project / "two" / "last.safetensors").exists()


def test_what_is_wrong_is_said_once_as_by_one_process(project):
    write(project, ONE_NETWORK, ("folder: slices", "folder: elsewhere"))
    with pytest.raises(DataError) as alone:
        fit(project / "r.yaml", project, out=project / "one")
    with pytest.raises(DataError) as together:
        two(project)
    assert str(together.value) == str(alone.value)
    assert not (project / "two").exists()


@pytest.mark.parametrize(
    ("choices", "said"),
    [
        ({"devices": 4}, "batch_size 3, accumulate 1: a step cannot be divided among 4 processes"),
        ({"nodes": 2, "devices": 1}, "--nodes 2: MASTER_ADDR, MASTER_PORT, NODE_RANK must be set on every node"),
        ({"device": "cpu:0"}, "--devices needs --device cpu or cuda, not cpu:0"),
    ],
)
def test_processes_that_cannot_train_together_are_refused(project, choices, said):
    write(project, ONE_NETWORK)
    with pytest.raises(PancascadeError, match=said) as refused:
        two(project, **choices)
    assert len(str(refused.value)) <= 200
    assert not (project / "two").exists()


def test_as_many_processes_as_were_started_must_be_asked_for(project, monkeypatch):
    from pancascade.training.process_environment import is_follower, require_alone

    write(project, ONE_NETWORK)
    assert not is_follower(1)
    require_alone()
    place = {"TORCHELASTIC_RUN_ID": "1", "WORLD_SIZE": "3", "RANK": "2", "LOCAL_RANK": "2"}
    for name, value in place.items():
        monkeypatch.setenv(name, value)
    assert is_follower(1)
    with pytest.raises(RecipeError, match="3 processes were started, and --devices 2 times --nodes 1 is 2"):
        two(project)
    with pytest.raises(RecipeError, match="3 processes were started to train together"):
        require_alone()


def test_a_share_s_weight_is_its_part_of_the_batch():
    assert Share(1, 3, 3).weight == pytest.approx(2 / 3)
    assert Share(2, 2, 3).is_empty


CROPPING = {"first": {"name": "unet", "preset": "tiny"}, "crop_size": [32, 32]}
DRAWING = {
    "qiu2024": ("S", CROPPING | {"second": {"name": "focusing_net", "preset": "tiny"}}),
    "coarse_to_fine": ("both", CROPPING | {"second": {"name": "unet", "preset": "tiny"}, "margins": "random"}),
    "lsnet": (
        "alternate",
        {
            "first": {"name": "localization_net", "preset": "tiny"},
            "second": {"name": "resnet_unet", "preset": "tiny"},
            "candidates": 5,
        },
    ),
}


@pytest.mark.parametrize("kind", DRAWING)
def test_what_is_drawn_for_other_processes_images_is_what_they_draw(kind):
    phase, settings = DRAWING[kind]
    cascade = build_cascade(TypeAdapter(CascadeSettings).validate_python({"kind": kind} | settings))
    images, labels = torch.rand(5, 1, 64, 64), torch.zeros(5, 64, 64, dtype=torch.uint8)
    labels[:, 20:40, 20:40] = 1
    states = []
    for share in (slice(0, 5), slice(2, 4)):
        generator = torch.Generator().manual_seed(1)
        objectives = cascade.losses(images[share], labels[share], phase=phase, generator=generator)
        for number in range(cascade.objectives + 1):
            before, after = (0, 0) if share == slice(0, 5) else (2, 1)
            cascade.pass_over(before, phase=phase, objective=number, generator=generator)
            next(objectives, None)
            cascade.pass_over(after, phase=phase, objective=number, generator=generator)
        states.append(torch.rand(8, generator=generator))
    assert torch.equal(*states)
    assert not torch.equal(states[0], torch.rand(8, generator=torch.Generator().manual_seed(1)))
