"""What a run leaves in its folder when it is refused, fails, or is not alone."""

import pytest
import torch

from pancascade.errors import CheckpointError, DataError, MemoryShortageError, OutputError, PancascadeError
from pancascade.files.output_lock import lock_output
from pancascade.inference.backends import devices
from pancascade.inference.backends.devices import find_device
from pancascade.training import fit, loop
from pancascade.training import recording as recording_module


def test_a_folder_in_which_another_run_trains_is_refused(project, change_recipe):
    recipe = change_recipe(project)
    with (
        lock_output(project / "run", what="train"),
        pytest.raises(OutputError, match=r"run: `train`, process \d+ on .* writes there"),
    ):
        fit(recipe, project, out=project / "run")
    assert not (project / "run").exists()


def test_a_run_holds_its_folder_while_it_trains_and_gives_it_back(project, change_recipe):
    refused = []

    def progress(run, done, batches):
        with pytest.raises(OutputError, match="writes there") as error, lock_output(run.folder, what="train"):
            pytest.fail("the body must not run")
        refused.append(error)

    fit(change_recipe(project), project, out=project / "run", progress=progress)
    assert refused
    assert not [path.name for path in (project / "run").iterdir() if path.name.startswith(".")]


FAILURES = {
    "device": ({"device": "gpu"}, PancascadeError, "Device 'gpu' cannot be used"),
    "weights": ({"start_from": "nothing.safetensors"}, CheckpointError, "nothing"),
    "data": ({"data": "nowhere"}, DataError, "^index.csv: no such file"),
}


@pytest.mark.parametrize(("arguments", "kind", "says"), FAILURES.values(), ids=FAILURES.keys())
def test_a_refused_training_leaves_nothing(project, change_recipe, arguments, kind, says):
    recipe, data = change_recipe(project), project / arguments.pop("data", "")
    if "start_from" in arguments:
        arguments["start_from"] = project / arguments["start_from"]
    with pytest.raises(kind, match=says):
        fit(recipe, data, out=project / "run", **arguments)
    assert not (project / "run").exists()


@pytest.mark.parametrize("error", [KeyboardInterrupt(), RuntimeError("fault")], ids=["interrupted", "failed"])
@pytest.mark.parametrize("made", [True, False], ids=["in a new folder", "in one with files"])
def test_a_training_that_ends_in_its_first_epoch_leaves_nothing_of_its_own(project, change_recipe, error, made):
    recipe = change_recipe(project, ("split: split.json", "split: seeded"))
    if not made:
        (project / "run").mkdir()
        (project / "run" / "notes.txt").write_text("mine")

    def stop(run, done, batches):
        assert (run.folder / "split_slices.json").is_file()
        raise error

    with pytest.raises(type(error)):
        fit(recipe, project, out=project / "run", progress=stop)
    left = [path.name for path in (project / "run").iterdir()] if (project / "run").exists() else None
    assert left == (None if made else ["notes.txt"])


def test_a_training_that_ends_later_keeps_all_to_go_on_from(project, change_recipe):
    recipe = change_recipe(project, one_epoch=False)

    def stop(run, done, batches):
        if run.epoch == 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit(recipe, project, out=project / "run", progress=stop)
    assert {"recipe.yaml", "last.safetensors", "best.safetensors", "history.json"} <= {
        path.name for path in (project / "run").iterdir()
    }
    assert fit(recipe, project, out=project / "run", resume=True).epoch == 4


def test_a_disk_that_fills_up_is_one_sentence_and_leaves_nothing(project, change_recipe, monkeypatch):
    def full(*_, **__):
        raise OSError(28, "No space left on device")

    recipe = change_recipe(project)
    for target in ("pancascade.methods.checkpoint.save_file", "torch.utils.tensorboard.SummaryWriter"):
        with monkeypatch.context() as patched, pytest.raises(OutputError, match=r"space|full") as refused:
            patched.setattr(target, full)
            fit(recipe, project, out=project / "r")
        assert len(str(refused.value)) <= 200
        assert not (project / "r").exists()


@pytest.mark.parametrize(
    "error",
    [
        MemoryError("Unable to allocate 124. GiB"),
        RuntimeError("[enforce fail at alloc_cpu.cpp:127] . DefaultCPUAllocator: can't allocate memory: you tried to"),
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"),
    ],
    ids=["NumPy", "torch", "CUDA"],
)
def test_a_shortage_of_memory_is_one_sentence(project, change_recipe, monkeypatch, error):
    def short(*_, **__):
        raise error

    monkeypatch.setattr(loop, "_train_batch", short)
    with pytest.raises(
        MemoryShortageError, match=r"Training: there is not enough memory\. Lower batch_size"
    ) as refused:
        fit(change_recipe(project), project, out=project / "run")
    assert "\n" not in str(refused.value)
    assert not (project / "run").exists()


def test_weights_that_become_no_numbers_stop_the_run_before_they_are_written(project, change_recipe):
    def poison(run, done, batches):
        with torch.no_grad():
            next(run.cascade.parameters()).fill_(float("nan")) if done == batches else None

    with pytest.raises(loop.DivergedError, match="Weights are no longer finite after epoch 1"):
        fit(change_recipe(project), project, out=project / "run", progress=poison)
    assert not (project / "run").exists()


@pytest.mark.parametrize("name", ["gpu", "cuda:x", "meta", "", "cpu0", "x" * 500, "cuda:99", "mps:3"])
def test_a_device_that_is_not_there_is_one_sentence(name):
    with pytest.raises(PancascadeError, match=r"cannot be used \(.*\)\. Try cpu\.$") as refused:
        find_device(name)
    assert len(str(refused.value)) <= 200


def test_one_of_several_devices_is_found_by_its_number(monkeypatch):
    monkeypatch.setattr(devices.torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(devices.torch.cuda, "device_count", lambda: 2)
    assert find_device("cuda:1") == torch.device("cuda", 1)
    assert find_device("cuda") == torch.device("cuda")
    with pytest.raises(PancascadeError, match="this machine shows 2 CUDA devices"):
        find_device("cuda:2")


def test_the_named_device_is_the_one_that_trains(project, monkeypatch):
    from pancascade.training import run as run_module

    asked = {}

    class StoppedError(Exception):
        pass

    def fabric(**arguments):
        asked.update(arguments)
        raise StoppedError

    monkeypatch.setattr(devices.torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(devices.torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(run_module, "Fabric", fabric)
    for name, devices_asked in (("cuda:1", [1]), ("cuda", 1), ("cpu", 1)):
        with pytest.raises(StoppedError):
            fit(project / "tiny.yaml", project, out=project / "run", device=name)
        assert (asked["accelerator"], asked["devices"]) == (name.partition(":")[0], devices_asked)


def test_a_run_without_notes_keeps_its_recipe_s_text(project, change_recipe):
    recipe = change_recipe(project)
    recipe.write_text(recipe.read_text(), encoding="utf-16")
    fit(recipe, project, out=project / "run")
    assert recording_module.RECIPE in {path.name for path in (project / "run").iterdir()}
    assert (project / "run" / "recipe.yaml").read_text(encoding="utf-8") == recipe.read_text(encoding="utf-16")
