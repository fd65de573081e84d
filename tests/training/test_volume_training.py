"""Training on whole volumes, stage after stage, and encoders that start from published weights."""

import itertools
import json

import numpy as np
import pytest
import torch
import yaml
from safetensors.torch import save_file

import pancascade
from pancascade.data.readers import volume_list
from pancascade.data.sampling import load_volumes
from pancascade.errors import CheckpointError, DataError, RecipeError
from pancascade.imaging.io import read_volume, write_volume
from pancascade.imaging.preprocessing import VolumeGrid
from pancascade.imaging.volume import Box, Volume, reorient
from pancascade.labels import Label
from pancascade.methods.cascades import Zhao2019, build_cascade
from pancascade.methods.cascades.reduction import enlarge
from pancascade.methods.checkpoint import load_checkpoint, load_tensors, save_checkpoint
from pancascade.methods.joining import join_checkpoints
from pancascade.methods.networks.resnet import ResNetEncoder
from pancascade.training import fit, read_recipe
from pancascade.training import run as run_module
from pancascade.training.data import read_training_data
from pancascade.training.validation import predict, sample_dice

pytestmark = pytest.mark.usefixtures("one_thread")

TINY = {"name": "unet3d", "preset": "tiny"}
RECIPE = {
    "name": "tiny3d",
    "seed": 5,
    "cascade": {"kind": "zhao2019", "first": TINY, "second": TINY, "factor": 2, "coarse_margin": 1, "margin": 2},
    "canvas": {"kind": "volume", "window": {"lower_hu": -100, "upper_hu": 240}},
    "data": [{"reader": "volume_list", "folder": "volumes.csv", "split": "split.json"}],
    "augmentation": {"rotation_degrees": 8, "scaling": 0.1, "noise": 0.03},
    "optimiser": {"kind": "adamw", "learning_rate": 0.01, "weight_decay": 0.01, "gradient_clip": 5.0},
    "phases": [{"name": "first", "epochs": 2}, {"name": "second", "epochs": 2}],
    "average_decay": 0.9,
}
SPLIT = {"train": ["p0", "p1", "p2"], "validation": ["p3"], "test": ["p4"]}
LPS = np.diag([-4.0, -4.0, 6.0, 1.0])


def write_volumes(folder, *, count=5):
    """So many patients, one volume each and each of its own size: a bright box in dull noise, fat at one side."""
    random = np.random.default_rng(0)
    rows = ["image,label,patient,first_slice,last_slice"]
    for patient in range(count):
        shape = (26 + 2 * (patient % 3), 24, 15 + patient % 2)
        hu = random.integers(0, 60, shape).astype(np.int16)
        hu[:3] = -100
        labels = np.zeros(shape, np.uint8)
        left, back, feet = 8 + 2 * (patient % 2), 6, 4
        labels[left : left + 10, back : back + 10, feet : feet + 8] = Label.PANCREAS
        labels[left + 2 : left + 6, back + 2 : back + 6, feet + 2 : feet + 6] = Label.TUMOUR
        hu[labels > 0] += 120
        write_volume(reorient(Volume(hu, LPS), "RAS"), folder / f"p{patient}.nii.gz")
        write_volume(Volume(labels, LPS), folder / f"p{patient}_label.nii.gz")
        rows.append(f"p{patient}.nii.gz,p{patient}_label.nii.gz,p{patient},,")
    (folder / "volumes.csv").write_text("\n".join(rows) + "\n")
    (folder / "split.json").write_text(json.dumps(SPLIT))


def write_recipe(folder, **changes):
    path = folder / "tiny3d.yaml"
    path.write_text(yaml.safe_dump(RECIPE | changes))
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder of volumes, with their list and split."""
    folder = tmp_path_factory.mktemp("volumes")
    write_volumes(folder)
    return folder


class StoppedError(Exception):
    """Somebody pulled the plug."""


def copy_of(cascade):
    return {name: tensor.detach().clone() for name, tensor in cascade.state_dict().items()}


@pytest.fixture(scope="module")
def whole_run(folder):
    """An uninterrupted run, and its weights before and after each epoch."""
    recipe = write_recipe(folder)
    weights = [copy_of(run_module.start(read_recipe(recipe), folder / "unused", device="cpu").cascade)]

    def progress(run, done, batches):
        if done == batches:
            weights.append(copy_of(run.cascade))

    return fit(recipe, folder, out=folder / "run", progress=progress), weights


def changed(one, other):
    """The parts of the cascade in which any number differs."""
    return {name.split(".")[0] for name in one if not torch.equal(one[name], other[name])}


# ── phases ──


def test_each_phase_trains_its_own_network_and_leaves_the_other_bit_for_bit(whole_run):
    run, weights = whole_run
    assert len(weights) == 1 + 4
    assert [changed(before, after) for before, after in itertools.pairwise(weights)] == [
        {"first"},
        {"first"},
        {"second"},
        {"second"},
    ]
    assert [epoch["phase"] for epoch in run.history] == ["first", "first", "second", "second"]
    assert [set(epoch["losses"]) for epoch in run.history] == [
        {"first_dice", "first_centre"},
        {"first_dice", "first_centre"},
        {"second_dice", "second_centre"},
        {"second_dice", "second_centre"},
    ]


def test_an_epoch_sees_each_training_volume_once(whole_run):
    run, _ = whole_run
    assert run.step == 4 * len(SPLIT["train"])


def test_the_centre_loss_ends_within_each_phase(folder, tmp_path):
    cascade = RECIPE["cascade"] | {"centre_epochs": 1}
    run = fit(write_recipe(tmp_path, cascade=cascade, data=[list_of(folder)]), folder, out=tmp_path / "run")
    assert ["second_centre" in epoch["losses"] or "first_centre" in epoch["losses"] for epoch in run.history] == [
        True,
        False,
        True,
        False,
    ]


def list_of(folder, **changes):
    """The source of a folder's volumes for recipes elsewhere, without validation."""
    return {"reader": "volume_list", "folder": str(folder / "volumes.csv")} | changes


# ── resuming ──


@pytest.mark.parametrize("at", [(1, 2), (2, 1)], ids=["in the first phase", "in the second phase"])
def test_a_run_stopped_and_resumed_ends_with_the_same_bits(whole_run, folder, tmp_path, at):
    def stop(run, done, _):
        if (run.epoch, done) == at:
            raise StoppedError

    recipe = folder / "tiny3d.yaml"
    with pytest.raises(StoppedError):
        fit(recipe, folder, out=tmp_path / "run", progress=stop)
    resumed = fit(recipe, folder, out=tmp_path / "run", resume=True)
    assert resumed.epoch == 4
    for name in ("last", "best"):
        whole, again = (load_tensors(run / f"{name}.safetensors")[0] for run in (folder / "run", tmp_path / "run"))
        assert whole.keys() == again.keys()
        assert [key for key in whole if not torch.equal(whole[key], again[key])] == []
    losses = [[epoch["losses"] for epoch in run.history] for run in (whole_run[0], resumed)]
    assert losses[0] == losses[1]


# ── validation ──


def blind_first(monkeypatch):
    """Stage 1 finds nothing, and is not trained in these tests."""

    def blinded(settings, build=run_module.build_cascade):
        cascade = build(settings)
        torch.nn.init.zeros_(cascade.first.head.weight)
        torch.nn.init.constant_(cascade.first.head.bias, -20.0)
        return cascade

    monkeypatch.setattr(run_module, "build_cascade", blinded)


@pytest.mark.parametrize(("where", "low", "high"), [("end_to_end", 0, 0), ("true_boxes", 0.85, 1)])
def test_stage_two_can_be_validated_in_true_boxes_without_a_stage_one(folder, tmp_path, monkeypatch, where, low, high):
    blind_first(monkeypatch)
    recipe = write_recipe(
        tmp_path,
        data=[list_of(folder, split=str(folder / "split.json"), per_epoch=40)],
        augmentation={},
        average_decay=None,
        phases=[{"name": "second", "epochs": 1}],
        validate_in=where,
    )
    run = fit(recipe, folder, out=tmp_path / "run")
    assert low <= run.history[-1]["dice"]["pancreas"] <= high
    _, description = load_checkpoint(tmp_path / "run" / "best.safetensors")
    assert description.training["recipe"]["validate_in"] == where


def test_in_true_boxes_stage_two_sees_the_boxes_of_the_reduced_truth(folder):
    recipe = read_recipe(write_recipe(folder))
    samples = read_training_data(recipe, root=folder, beside=folder, out=folder).validation[0]
    cascade, seen = build_cascade(recipe.cascade).eval(), []
    cascade.second.register_forward_pre_hook(lambda _, given: seen.append(tuple(given[0].shape[2:])))
    (labels,) = predict(cascade, samples, where="true_boxes")
    assert labels.shape == samples.labels[0].shape
    # The organ of 10 × 10 × 8 voxels lies on the reduced grid's lines: two voxels are added either way.
    assert seen == [(14, 14, 12)] * 2


def test_stage_one_can_be_validated_alone(folder, tmp_path, monkeypatch):
    """Its map on the reduced grid, enlarged, counts; an untrained stage 2 is never asked."""
    monkeypatch.setattr(Zhao2019, "segment", lambda *_: pytest.fail("stage 2 was asked"))
    recipe = write_recipe(
        tmp_path,
        data=[list_of(folder, split=str(folder / "split.json"), per_epoch=40)],
        augmentation={},
        average_decay=None,
        phases=[{"name": "first", "epochs": 1}],
        validate_in="first_stage",
    )
    run = fit(recipe, folder, out=tmp_path / "run")
    assert run.history[-1]["dice"]["pancreas"] > 0.7
    samples = read_training_data(run.recipe, root=folder, beside=folder, out=folder).validation[0]
    (found,) = predict(run.cascade.eval(), samples, where="first_stage")
    located = run.cascade.locate(samples.batch([0]).images)
    size = tuple(samples.labels[0].shape)
    enlarged = enlarge(located.probabilities[0, 0], 2, region=Box.whole(size), mode="linear") >= 0.5
    assert torch.equal(found > 0, enlarged)


def test_a_run_with_a_second_stage_is_not_validated_by_its_first(tmp_path):
    with pytest.raises(RecipeError, match="first_stage is for runs whose only phase is first"):
        read_recipe(write_recipe(tmp_path, validate_in="first_stage"))


def test_stages_of_two_runs_are_joined(folder, tmp_path):
    runs = {}
    for name in ("first", "second"):
        recipe = write_recipe(folder, phases=[{"name": name, "epochs": 1}])
        fit(recipe, folder, out=tmp_path / name)
        runs[name] = tmp_path / name / "best.safetensors"
    join_checkpoints(runs, tmp_path / "joined.safetensors")
    joined, description = load_checkpoint(tmp_path / "joined.safetensors")
    assert description.training["joined"] == {"first": "best.safetensors", "second": "best.safetensors"}
    seen = [record for path in runs.values() for record in load_checkpoint(path)[1].training["trained_on"]]
    assert description.training["trained_on"] == [record for n, record in enumerate(seen) if record not in seen[:n]]
    assert seen
    for name, path in runs.items():
        trained, theirs = load_checkpoint(path)
        assert (description.cascade, description.canvas) == (theirs.cascade, theirs.canvas)
        for key, value in trained.get_submodule(name).state_dict().items():
            assert torch.equal(joined.get_submodule(name).state_dict()[key], value)


def test_what_cannot_be_joined_is_refused_and_nothing_written(folder, whole_run, tmp_path):
    good, out = folder / "run" / "best.safetensors", tmp_path / "joined.safetensors"
    cascade, description = load_checkpoint(good)
    other = description.model_copy(update={"cascade": description.cascade.model_copy(update={"margin": 3})})
    save_checkpoint(tmp_path / "other.safetensors", cascade, description=other)
    with pytest.raises(CheckpointError, match=r"other\.safetensors: of another cascade or canvas"):
        join_checkpoints({"first": good, "second": tmp_path / "other.safetensors"}, out)
    with pytest.raises(CheckpointError, match="has no stage 'third'; it has first, second"):
        join_checkpoints({"third": good}, out)
    with pytest.raises(CheckpointError, match="gone"):
        join_checkpoints({"first": good, "second": tmp_path / "gone.safetensors"}, out)
    copy = tmp_path / "copy.safetensors"
    copy.write_bytes(good.read_bytes())
    for twice in (good, copy):
        with pytest.raises(CheckpointError, match="given for first and for second; it is one checkpoint"):
            join_checkpoints({"first": good, "second": twice}, out)
    assert not out.exists()


def test_dice_of_volumes_is_one_number_a_volume(folder):
    recipe = read_recipe(write_recipe(folder))
    samples = read_training_data(recipe, root=folder, beside=folder, out=folder).training[0]
    half = [labels.clone() for labels in samples.labels]
    half[1][:, :, 8:] = 0
    found = sample_dice(half, samples, Label.PANCREAS)
    assert found == pytest.approx(dict(zip(samples.names, (1, 2 / 3, 1), strict=True)))


def test_a_sheet_of_volumes_is_drawn(whole_run, folder):
    assert (folder / "run" / "validation.png").stat().st_size > 5000
    assert all(0 <= epoch["dice"]["pancreas"] <= 1 for epoch in whole_run[0].history)


# ── from the recipe to the mask ──


def dice(one, other):
    return 2 * np.count_nonzero(one & other) / (np.count_nonzero(one) + np.count_nonzero(other))


def test_both_stages_learn_one_volume_and_the_checkpoint_segments_it(folder, tmp_path):
    (tmp_path / "one.csv").write_text("\n".join((folder / "volumes.csv").read_text().splitlines()[:2]) + "\n")
    recipe = write_recipe(
        tmp_path,
        data=[{"reader": "volume_list", "folder": "one.csv", "per_epoch": 50}],
        augmentation={},
        average_decay=None,
        phases=[{"name": "first", "epochs": 1}, {"name": "second", "epochs": 1}],
    )
    run = fit(recipe, folder, out=tmp_path / "run")
    assert [epoch["dice"] for epoch in run.history] == [{}, {}], "one volume, and nothing to validate on"
    cascade, description = load_checkpoint(tmp_path / "run" / "best.safetensors")
    assert description.training["epoch"] == 2
    assert isinstance(description.canvas, VolumeGrid)
    scan, truth = read_volume(folder / "p0.nii.gz"), read_volume(folder / "p0_label.nii.gz")
    organ = reorient(truth, "RAS").voxels > 0
    found = pancascade.segment(folder / "p0.nii.gz", model=str(tmp_path / "run" / "best.safetensors"))
    assert np.array_equal(found.mask.affine, scan.affine)
    assert found.mask.shape == scan.shape
    assert dice(found.mask.voxels > 0, organ) > 0.9
    samples = load_volumes(volume_list(tmp_path / "one.csv", root=folder), description.canvas)
    with torch.no_grad():
        first = cascade.locate(samples.batch([0]).images).probabilities[0, 0]
    coarse = enlarge(first, 2, region=Box.whole(truth.shape)).numpy() >= 0.5
    assert dice(coarse, samples.labels[0].numpy() > 0) > 0.9


def test_volumes_without_target_teach_nothing_and_are_refused_in_one_sentence(folder, tmp_path):
    rows = (folder / "volumes.csv").read_text().replace("p0_label.nii.gz", "none").splitlines()[:2]
    (tmp_path / "empty.csv").write_text("\n".join(rows) + "\n")
    recipe = write_recipe(tmp_path, data=[{"reader": "volume_list", "folder": "empty.csv"}])
    with pytest.raises(DataError, match=r"phase first has no batch of 1 with anything to learn\. Add data") as caught:
        fit(recipe, folder, out=tmp_path / "run")
    assert "\n" not in str(caught.value)


# ── slices and volumes do not mix ──

SLICES = {"size": [32, 32]}
UNET = {"name": "unet", "preset": "tiny"}
FLAT = {"kind": "coarse_to_fine", "first": UNET, "second": UNET}
MIXED = {
    "a 3-D cascade on a canvas of slices": ({"canvas": SLICES}, "canvas: zhao2019 needs kind: volume"),
    "a 3-D cascade without a canvas": ({"canvas": {}}, "canvas: zhao2019 needs kind: volume"),
    "a 2-D cascade on volumes": (
        {"cascade": FLAT, "phases": [{"name": "both", "epochs": 1}]},
        "canvas: coarse_to_fine needs no kind: it works on slices",
    ),
    "a 3-D cascade on pictures of slices": (
        {"data": [RECIPE["data"][0], {"reader": "slice_folder", "folder": "slices"}]},
        "data: zhao2019 needs volumes, and reader slice_folder gives single slices",
    ),
    "batches of volumes": ({"batch_size": 2}, "batch_size: volumes differ in size and go one by one, got 2"),
    "an option of slices on the grid of volumes": (
        {"canvas": RECIPE["canvas"] | SLICES},
        "unknown key 'canvas.volume.size'",
    ),
    "an unknown kind of canvas": ({"canvas": {"kind": "slices"}}, "canvas.volume.kind: should be 'volume'"),
}


@pytest.mark.parametrize(("changes", "sentence"), MIXED.values(), ids=MIXED.keys())
def test_a_recipe_that_mixes_slices_and_volumes_is_refused_in_one_short_sentence(tmp_path, changes, sentence):
    recipe = write_recipe(tmp_path, **changes)
    with pytest.raises(RecipeError) as caught:
        read_recipe(recipe)
    said = str(caught.value)
    assert said.startswith(f"{recipe.name}: {sentence}")
    assert said.endswith(".")
    assert "\n" not in said
    assert len(said) < 150 + len(str(recipe))


def test_a_2d_network_in_a_3d_cascade_is_refused_before_anything_is_written(folder, tmp_path):
    cascade = RECIPE["cascade"] | {"second": UNET}
    with pytest.raises(
        RecipeError, match=r"^tiny3d\.yaml: cascade\.second: zhao2019 needs a network for volumes.* for slices\.$"
    ):
        fit(write_recipe(tmp_path, cascade=cascade), folder, out=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_3d_network_in_a_2d_cascade_is_refused(tmp_path):
    changes = {"cascade": FLAT | {"first": TINY}, "canvas": SLICES, "phases": [{"name": "both", "epochs": 1}]}
    recipe = read_recipe(write_recipe(tmp_path, **changes))
    with pytest.raises(RecipeError, match=r"^cascade\.first: coarse_to_fine needs a network for slices.* volumes\.$"):
        build_cascade(recipe.cascade)


# ── pretrained encoders ──

LSNET = {
    "cascade": {
        "kind": "lsnet",
        "first": {"name": "localization_net", "preset": "tiny"},
        "second": {"name": "resnet_unet", "preset": "tiny"},
    },
    "canvas": {"size": [64, 64]},
    "phases": [{"name": "alternate", "epochs": 1}],
}


def published(depth, *, width=4, seed=0):
    """Weights as torchvision publishes them: three input channels, and a classifier."""
    torch.manual_seed(seed)
    weights = {
        name: torch.tensor(9) if name.endswith("tracked") else torch.rand(tensor.shape) + 0.5
        for name, tensor in ResNetEncoder(depth, base_width=width).state_dict().items()
    }
    return weights | {"fc.weight": torch.rand(1000, 8 * width), "fc.bias": torch.rand(1000)}


def started(folder, **changes):
    recipe = write_recipe(folder, **LSNET | changes)
    return run_module.start(read_recipe(recipe), folder / "run", device="cpu", beside=folder)


def test_published_weights_arrive_in_the_encoders_that_the_recipe_names(tmp_path):
    plain = started(tmp_path)
    depths = {name: getattr(plain.cascade, name).encoder.depth for name in ("first", "second")}
    weights = {name: published(depth, seed=seed) for seed, (name, depth) in enumerate(depths.items())}
    for name in depths:
        save_file(weights[name], tmp_path / f"{name}.safetensors")
    pretrained = {
        "first.encoder": "first.safetensors",  # beside the recipe
        "second.encoder": str(tmp_path / "second.safetensors"),
    }
    run = started(tmp_path, pretrained=pretrained)
    for name in depths:
        for encoder in (getattr(kept, name).encoder for kept in (run.cascade, run.average)):
            loaded = encoder.state_dict()
            stem = loaded.pop("conv1.weight")
            whole = weights[name]["conv1.weight"]
            assert torch.equal(stem, whole if stem.shape[1] == 3 else whole.sum(dim=1, keepdim=True))
            assert all(torch.equal(tensor, weights[name][key]) for key, tensor in loaded.items())
    others = [key for key in run.cascade.state_dict() if ".encoder." not in key]
    assert others
    assert all(torch.equal(run.cascade.state_dict()[key], plain.cascade.state_dict()[key]) for key in others)


def test_an_encoder_alone_may_be_pretrained(tmp_path):
    plain = started(tmp_path)
    save_file(published(plain.cascade.first.encoder.depth), tmp_path / "r.safetensors")
    run = started(tmp_path, pretrained={"first.encoder": "r.safetensors"})
    assert changed(plain.cascade.state_dict(), run.cascade.state_dict()) == {"first"}


def test_a_wrong_file_of_pretrained_weights_is_refused_in_one_sentence_before_anything_is_written(tmp_path):
    depth = started(tmp_path).cascade.first.encoder.depth
    save_file(published(34 if depth == 18 else 18), tmp_path / "deeper.safetensors")
    save_file(published(depth, width=8), tmp_path / "wider.safetensors")
    save_file({"weight": torch.zeros(2)}, tmp_path / "other.safetensors")
    (tmp_path / "damaged.safetensors").write_bytes(b"x" * 50)
    for name, what in {
        "deeper": "has no place in this encoder|is missing",
        "wider": "has shape",
        "other": "conv1.weight is missing",
        "damaged": "not a readable file of weights",
        "absent": "there is no such file",
    }.items():
        recipe = write_recipe(tmp_path, **LSNET, pretrained={"first.encoder": f"{name}.safetensors"})
        with pytest.raises(CheckpointError, match=rf"{name}\.safetensors: .*({what})") as caught:
            fit(recipe, tmp_path, out=tmp_path / "run")
        assert "\n" not in str(caught.value)
        assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("changes", "known"), [(LSNET, r"first\.encoder, second\.encoder"), ({}, "none")], ids=["lsnet", "zhao2019"]
)
def test_a_part_that_is_no_encoder_cannot_be_pretrained(tmp_path, changes, known):
    recipe = write_recipe(tmp_path, **changes, pretrained={"first": "r.safetensors"})
    says = rf"pretrained: first is no encoder of this cascade that has published weights; it has: {known}\."
    with pytest.raises(RecipeError, match=rf"^tiny3d\.yaml: {says}$"):
        fit(recipe, tmp_path, out=tmp_path / "run")
