import json
import shutil

import numpy as np
import pytest
import torch
from PIL import Image

from pancascade.errors import DataError, RecipeError
from pancascade.imaging.io import write_volume
from pancascade.imaging.volume import Volume
from pancascade.training import read_recipe
from pancascade.training.data import KEEP, read_training_data

SOURCE = "{reader: slice_folder, folder: slices, split: split.json, window: {lower_hu: 0, upper_hu: 255}}"


@pytest.fixture
def read(project, change_recipe):
    """The training data of the project's recipe with other sources."""
    original = (project / "tiny.yaml").read_text()

    def with_sources(*sources, root=project):
        (project / "tiny.yaml").write_text(original)
        recipe = change_recipe(project, (SOURCE, "\n  - ".join(sources)))
        return read_training_data(read_recipe(recipe), root=root, beside=project, out=project / "run")

    return with_sources


def source(**changes):
    settings = {"reader": "slice_folder", "folder": "slices", "split": "split.json"} | changes
    return json.dumps({key: value for key, value in settings.items() if value is not None})


def patients(slices):
    return sorted(set(slices.patients))


def empty_the_mask(project, name):
    Image.fromarray(np.zeros((32, 48), bool)).save(project / "slices" / "masks" / f"{name}.png")


def test_training_and_validation_follow_the_split_and_testing_is_left_alone(read):
    data = read(source())
    assert [patients(slices) for slices in data.training] == [["p0", "p1", "p2", "p3"]]
    assert [patients(slices) for slices in data.validation] == [["p4"]]
    assert data.counts == (8,)


def test_a_source_without_split_trains_on_everybody_and_validates_on_nobody(read):
    data = read(source(split=None))
    assert len(data.training[0]) == 12
    assert data.validation == ()


def test_a_source_may_give_a_number_of_slices_and_not_validate(read):
    data = read(source(), source(per_epoch=3, validate_on=False))
    assert data.counts == (8, 3)
    assert len(data.validation) == 1


def test_slices_are_kept_by_what_they_show(read, project):
    empty_the_mask(project, "p0_z0")
    empty_the_mask(project, "p2_z1")
    empty_the_mask(project, "p4_z1")
    data = read(source(keep="pancreas"), source(keep="no_pancreas"))
    assert [slices.names for slices in data.training[1:]] == [("p0_z0", "p2_z1")]
    assert len(data.training[0]) == 6
    assert [slices.names for slices in data.validation] == [("p4_z0",), ("p4_z1",)]


def test_slices_without_tumour_are_kept_where_they_show_pancreas_or_nothing(read):
    assert len(read(source(keep="no_tumour")).training[0]) == 8


@pytest.mark.parametrize(
    ("rule", "kept"),
    [("all", [0, 1, 2, 3]), ("pancreas", [1, 2, 3]), ("tumour", [2, 3]), ("no_tumour", [0, 1]), ("no_pancreas", [0])],
)
def test_the_rules_are_about_the_labels_that_a_slice_shows(rule, kept):
    maps = [torch.tensor([[0, a], [b, 0]], dtype=torch.uint8) for a, b in ((0, 0), (1, 0), (1, 2), (0, 2))]
    assert [index for index, labels in enumerate(maps) if KEEP[rule](labels)] == kept


def test_a_rule_that_leaves_no_slice_is_refused(read):
    with pytest.raises(DataError, match="slices: nothing is left by keep: tumour"):
        read(source(keep="tumour"))


def test_pictures_are_read_as_the_source_says(read, project):
    plain, turned, cut, wide = (
        read(source(**options)).training[0]
        for options in (
            {"window": {"lower_hu": 0, "upper_hu": 255}},
            {"window": {"lower_hu": 0, "upper_hu": 255}, "flip_rows": True},
            {"window": {"lower_hu": 0, "upper_hu": 255}, "region_margin": 0},
            {"window": {"lower_hu": 0, "upper_hu": 510}},
        )
    )
    assert torch.equal(turned.images, plain.images.flip(2))
    assert torch.equal(turned.labels, plain.labels.flip(1))
    assert torch.equal(cut.labels > 0, cut.images[:, 0] > 0)
    assert float(wide.images.float().mean()) > 1.5 * float(plain.images.float().mean())


def test_the_data_folder_may_be_the_data_set_itself(read, project):
    data = read(source(), root=project / "slices")
    assert len(data.training[0]) == 8


def test_a_missing_source_is_refused_unless_it_is_optional(read, project, caplog):
    data = read(source(), source(folder="absent", optional=True))
    assert len(data.training) == 1
    assert "absent: not found" in caplog.text
    (project / "elsewhere").mkdir()
    shutil.rmtree(project / "slices" / "images")
    with pytest.raises(DataError, match="missing"):
        read_training_data(read_recipe(project / "tiny.yaml"), root=project, beside=project, out=project / "run")


def test_a_drawn_split_is_written_down_and_read_again(read, project):
    drawn = read(source(split="seeded"))
    path = project / "run" / "split_slices.json"
    split = json.loads(path.read_text())
    assert sorted(split["train"] + split["validation"] + split["test"]) == [f"p{i}" for i in range(6)]
    assert patients(drawn.training[0]) == split["train"]
    assert patients(drawn.validation[0]) == split["validation"]
    path.write_text(json.dumps({"train": ["p5"], "validation": ["p0"], "test": ["p1"]}))
    recipe = read_recipe(project / "tiny.yaml")
    again = read_training_data(recipe, root=project, beside=project, out=project / "run")
    assert patients(again.training[0]) == ["p5"]


def test_a_split_that_is_nowhere_is_refused(read):
    with pytest.raises(RecipeError, match=r"other\.json: not found beside the recipe"):
        read(source(split="other.json"))


def test_shipped_splits_are_found_from_any_recipe(read):
    with pytest.raises(DataError, match="another data set"):
        read(source(split="splits/nih_slices.json"))


def test_a_data_set_as_nnunet_has_it_is_a_source(read, project):
    folder = project / "Dataset007"
    affine = np.diag((-2.0, -2.0, 3.0, 1.0))
    for patient in range(3):
        labels = np.zeros((48, 32, 4), np.uint8)
        labels[10:20, 8:16, 1:3], labels[12:15, 9:12, 2] = 1, 2
        hu = (labels * 60 + 20).astype(np.int16)
        hu[:, :4] = -1000
        write_volume(Volume(hu, affine), folder / "imagesTr" / f"c{patient}_0000.nii.gz")
        write_volume(Volume(labels, affine), folder / "labelsTr" / f"c{patient}.nii.gz")
    names = {"channel_names": {"0": "CT"}, "labels": {"background": 0, "pancreas": 1, "tumour": 2}}
    (folder / "dataset.json").write_text(json.dumps(names))
    data = read(source(reader="nnunet_raw", folder="Dataset007", split="seeded", keep="tumour"))
    assert len(data.training[0]) == len(data.validation[0]) == 1
    assert set(data.training[0].labels.unique().tolist()) == {0, 1, 2}
