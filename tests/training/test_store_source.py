import json
import sys
from pathlib import Path

# Small data sets are made once, beside the tests of the store.
sys.path.insert(0, str(Path(__file__).parents[1] / "data" / "store"))

import numpy as np
import pytest
import torch
from PIL import Image
from small_sets import make_msd

from pancascade.data.preparing.prepare import prepare
from pancascade.data.readers import msd, slice_folder
from pancascade.data.sampling import load_volumes
from pancascade.data.store.options import PrepareOptions
from pancascade.errors import DataError
from pancascade.imaging.preprocessing import VolumeGrid, Window
from pancascade.training import read_recipe
from pancascade.training.data import _of_store, read_training_data
from pancascade.training.recipe import DataSource

GREY = Window(lower_hu=0, upper_hu=255)
SOURCE = "{reader: slice_folder, folder: slices, split: split.json, window: {lower_hu: 0, upper_hu: 255}}"


@pytest.fixture
def read(project, change_recipe):
    """The training data of the project's recipe from another source."""
    original = (project / "tiny.yaml").read_text()

    def from_source(**settings):
        (project / "tiny.yaml").write_text(original)
        recipe = change_recipe(project, (SOURCE, json.dumps({"split": "split.json", **settings})))
        return read_training_data(read_recipe(recipe), root=project, beside=project, out=project / "run")

    return from_source


def prepared(project, **options):
    cases = slice_folder(project / "slices", window=GREY)
    prepare(cases, project / "store", options=PrepareOptions(**options))


@pytest.mark.parametrize("options", [{"kind": "slices"}, {"kind": "pictures", "window": GREY}])
@pytest.mark.parametrize("keep", ["all", "pancreas", "no_pancreas"])
def test_a_store_gives_the_samples_of_its_source(project, read, options, keep):
    empty = Image.fromarray(np.zeros((32, 48), bool))
    for name in ("p0_z0", "p4_z1"):
        empty.save(project / "slices" / "masks" / f"{name}.png")
    prepared(project, **options)
    wanted = read(reader="slice_folder", folder="slices", window={"lower_hu": 0, "upper_hu": 255}, keep=keep)
    found = read(reader="store", folder="store", keep=keep)
    assert found.counts == wanted.counts
    for ours, theirs in zip(found.training + found.validation, wanted.training + wanted.validation, strict=True):
        assert (ours.names, ours.patients) == (theirs.names, theirs.patients)
        assert torch.equal(ours.images, theirs.images)
        assert torch.equal(ours.labels, theirs.labels)


def test_a_rule_that_leaves_nothing_of_a_store_is_refused(project, read):
    prepared(project, kind="slices")
    with pytest.raises(DataError, match="store: nothing is left by keep: tumour"):
        read(reader="store", folder="store", keep="tumour")


def test_volumes_are_not_made_of_single_slices(project):
    prepared(project, kind="slices")
    with pytest.raises(DataError, match="a store of single slices, and the recipe needs volumes"):
        _of_store(DataSource(reader="store", folder="store"), project / "store", VolumeGrid(kind="volume"))


def test_volumes_of_a_store_are_those_of_its_source(tmp_path):
    cases = msd(make_msd(tmp_path / "Task07_Pancreas"))
    prepare(cases, tmp_path / "store")
    grid = VolumeGrid(kind="volume", window=GREY)
    found = load_volumes(
        _of_store(DataSource(reader="store", folder="store", keep="tumour"), tmp_path / "store", grid), grid
    )
    wanted = load_volumes(cases, grid)
    assert found.names == wanted.names
    for ours, theirs in zip(found.images + found.labels, wanted.images + wanted.labels, strict=True):
        assert torch.equal(ours, theirs)
