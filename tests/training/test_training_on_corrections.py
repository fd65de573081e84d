"""From a reader's correction to weights that learned from it."""

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from pancascade.cli.app import app
from pancascade.errors import CheckpointError, RecipeError, UnknownModelError
from pancascade.inference.models.known_models import DEFAULT_MODEL
from pancascade.labels import Label
from pancascade.methods.cascades import build_cascade
from pancascade.methods.checkpoint import describe, save_checkpoint
from pancascade.methods.weights_file import read_header
from pancascade.results.corrections import save_correction
from pancascade.training import read_recipe, recipe_on
from pancascade.training.data import read_training_data
from pancascade.training.recipe import find_recipe
from pancascade.training.start_weights import find_start
from result_folders import make_result, packed

pytestmark = pytest.mark.usefixtures("one_thread")

RECIPE = """
name: tiny
seed: 5
cascade:
  kind: qiu2024
  first: {name: unet, preset: tiny}
  second: {name: unet, preset: tiny}
  first_labels: [pancreas, tumour]
  second_labels: [tumour]
  first_loss: dice_bce
  crop_size: [32, 32]
  margin: 4
canvas: {size: [32, 48], window: {lower_hu: 0, upper_hu: 255}}
data:
  - {reader: msd, folder: nothing}
batch_size: 2
optimiser: {kind: adamw, learning_rate: 0.01}
phases:
  - {name: J, epochs: 1}
"""
DEFAULT_MODEL_NAME = Path(DEFAULT_MODEL)
SHAPE = (48, 32, 3)
AFFINE = np.diag((-1.0, -1.0, 2.0, 1.0))


def bright_blob(place):
    """HU and labels of a little scan: a pancreas with a tumour inside it."""
    hu = np.random.default_rng(place).integers(0, 80, SHAPE).astype(np.int16)
    hu[:, :2] = -1000
    labels = np.zeros(SHAPE, np.uint8)
    labels[12:30, 8 + place : 22 + place, :2] = Label.PANCREAS
    labels[16:22, 11 + place : 16 + place, 0] = Label.TUMOUR
    hu[labels > 0] += 100
    return hu, labels


@pytest.fixture
def project(tmp_path):
    """A recipe, and two results whose masks were empty before a reader corrected them."""
    (tmp_path / "tiny.yaml").write_text(RECIPE)
    for place in (0, 3):
        hu, labels = bright_blob(place)
        folder, _ = make_result(
            tmp_path / "RESULTS" / f"case-{place}", affine=AFFINE, hu=hu, mask=np.zeros_like(labels)
        )
        save_correction(folder, packed(labels, AFFINE), author="R", now=datetime(2026, 3, 4, tzinfo=UTC))
    return tmp_path


def started_weights(project):
    """A checkpoint of the recipe's own cascade, as the model to correct would be."""
    recipe = read_recipe(project / "tiny.yaml")
    torch.manual_seed(0)
    path = project / "model.safetensors"
    save_checkpoint(path, build_cascade(recipe.cascade), description=describe(recipe.cascade, recipe.canvas))
    return path


def train(*arguments):
    return CliRunner().invoke(app, ["train", *map(str, arguments)])


def test_corrected_labels_reach_the_network_where_the_reader_drew_them(project):
    (project / "on.yaml").write_text(recipe_on(project / "tiny.yaml", project / "RESULTS"))
    recipe = read_recipe(project / "on.yaml")
    sets = read_training_data(recipe, root=project, beside=project, out=project / "run")
    (samples,) = sets.training
    assert sets.validation == ()
    drawn = [bright_blob(place)[1] for place in (0, 3)]
    for label in (Label.PANCREAS, Label.TUMOUR):
        assert sum(int((one == label).sum()) for one in samples.labels) == sum(int((d == label).sum()) for d in drawn)
    tumour = samples.labels[0] == Label.TUMOUR
    rows, columns = (np.flatnonzero(tumour.numpy().any(axis)) for axis in (1, 0))
    organ = (samples.labels[0] > 0).numpy()
    assert organ[rows.min() - 1 : rows.max() + 2, columns.min() - 1 : columns.max() + 2].all()


def test_a_network_goes_on_learning_from_two_corrections(project):
    weights, out = started_weights(project), project / "RUN"
    result = train(
        project / "tiny.yaml",
        "--source",
        project / "RESULTS",
        "--start-from",
        weights,
        "--out",
        out,
        "--keep",
        "tumour",
    )
    assert result.exit_code == 0, result.output
    reported = read_header(out / "best.safetensors")["training"]
    (record,) = reported["trained_on"]
    assert (record["data_set"], len(record["patients"])) == ("RESULTS", 2)
    assert (out / "best.safetensors").read_bytes() != weights.read_bytes()
    (source,) = read_recipe(out / "recipe.yaml").data
    assert (source.reader, source.folder, source.split) == ("corrections", "RESULTS", None)


def test_a_split_is_drawn_when_it_is_asked_for_and_scans_are_named_without_their_folder(project):
    text = recipe_on(project / "tiny.yaml", project / "RESULTS", split=Path("seeded"), scans=project / "RESULTS")
    (project / "on.yaml").write_text(text)
    (source,) = read_recipe(project / "on.yaml").data
    assert (source.split, source.scans) == ("seeded", str(project / "RESULTS"))
    result = train(project / "tiny.yaml", "--data", project, "--scans", project, "--out", project / "run")
    assert isinstance(result.exception, RecipeError)
    assert "--scans" in str(result.exception)


def test_scans_belong_to_corrections_alone(project):
    (project / "other.yaml").write_text(RECIPE.replace("folder: nothing}", "folder: nothing, scans: here}"))
    with pytest.raises(RecipeError, match="scans is for reader corrections, not msd"):
        read_recipe(project / "other.yaml")


def test_the_shipped_model_s_first_step_starts_the_recipe_of_corrections():
    recipe = read_recipe(find_recipe("qiu2024_corrections"))
    found = find_start(DEFAULT_MODEL_NAME, build_cascade(recipe.cascade))
    assert found.checkpoint.name == "pancreas.safetensors"
    assert [record["data_set"] for record in found.trained_on] == ["nih_slices"]


def test_a_model_whose_weights_do_not_fit_and_one_that_is_none_are_refused(project):
    cascade = build_cascade(read_recipe(project / "tiny.yaml").cascade)
    with pytest.raises(CheckpointError, match=r"none of its weights \(pancreas.safetensors, tumour.safetensors\) fits"):
        find_start(DEFAULT_MODEL_NAME, cascade)
    with pytest.raises(UnknownModelError, match="no such model"):
        find_start(project / "nothing", cascade)
