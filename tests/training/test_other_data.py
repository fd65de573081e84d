import json

import nibabel as nib
import numpy as np
import pytest
import yaml
from typer.testing import CliRunner

from pancascade.cli.app import app
from pancascade.errors import DataError, RecipeError
from pancascade.training import read_recipe, recipe_on


@pytest.fixture
def decathlon(project):
    """Six scans in the decathlon's layout, a bright block in each."""
    folder = project / "Task07_Pancreas"
    for part in ("imagesTr", "labelsTr"):
        (folder / part).mkdir(parents=True)
    random = np.random.default_rng(0)
    listed = []
    for number in range(6):
        hu = random.integers(0, 80, (48, 32, 3)).astype(np.int16)
        labels = np.zeros(hu.shape, np.uint8)
        labels[10:26, 8 + number : 20 + number, :2] = 1
        hu[labels > 0] += 120
        hu[:, :4] = -1000
        name = f"pancreas_{number:03d}.nii.gz"
        for part, voxels in (("imagesTr", hu), ("labelsTr", labels)):
            nib.save(nib.Nifti1Image(voxels, np.diag((-1.0, -1.0, 2.0, 1.0))), folder / part / name)
        listed.append({"image": f"./imagesTr/{name}", "label": f"./labelsTr/{name}"})
    labels = {"0": "background", "1": "pancreas", "2": "cancer"}
    (folder / "dataset.json").write_text(json.dumps({"labels": labels, "training": listed}))
    return folder


def test_only_the_sources_change(project, decathlon):
    split = project / "split.json"
    text = recipe_on(project / "tiny.yaml", decathlon, split=split, fold=1, keep="pancreas")
    changed, own = yaml.safe_load(text), yaml.safe_load((project / "tiny.yaml").read_text())
    source = {"reader": "msd", "folder": str(decathlon), "keep": "pancreas", "split": str(split), "fold": 1}
    assert changed.pop("data") == [source]
    del own["data"]
    assert changed == own


def test_pictures_are_read_as_the_recipe_s_own_and_never_by_guess(project, decathlon):
    source = yaml.safe_load(recipe_on(project / "tiny.yaml", project / "slices"))["data"][0]
    assert source["window"] == {"lower_hu": 0, "upper_hu": 255}
    (project / "other.yaml").write_text(recipe_on(project / "tiny.yaml", decathlon))
    with pytest.raises(RecipeError, match=r"other\.yaml has no settings to read them"):
        recipe_on(project / "other.yaml", project / "slices")


def test_weights_beside_the_recipe_are_still_found(project, decathlon):
    recipe = project / "tiny.yaml"
    recipe.write_text(recipe.read_text() + "pretrained: {first.encoder: resnet18.pth}\n")
    assert yaml.safe_load(recipe_on(recipe, decathlon))["pretrained"] == {
        "first.encoder": str(project / "resnet18.pth")
    }


def test_what_does_not_fit_is_one_sentence(project, decathlon):
    with pytest.raises(RecipeError, match=r"--keep: should be 'all'.*got 'everything'"):
        recipe_on(project / "tiny.yaml", decathlon, keep="everything")
    with pytest.raises(DataError, match="no such folder"):
        recipe_on(project / "tiny.yaml", project / "nothing")
    with pytest.raises(DataError, match=r"nope\.json: no such split file"):
        recipe_on(project / "tiny.yaml", decathlon, split=project / "nope.json")


def run(*arguments):
    return CliRunner().invoke(app, ["train", *map(str, arguments)])


def test_the_command_trains_on_it_and_the_run_says_so(project, decathlon):
    out = project / "run"
    result = run(project / "tiny.yaml", "--source", decathlon, "--keep", "pancreas", "--out", out)
    assert result.exit_code == 0, result.output
    (source,) = read_recipe(out / "recipe.yaml").data
    assert (source.reader, source.folder, source.split) == ("msd", decathlon.name, "seeded")
    split = json.loads((out / "split_Task07_Pancreas.json").read_text())
    assert sorted(name for part in split.values() for name in part) == [f"pancreas_{number:03d}" for number in range(6)]
    assert (out / "best.safetensors").is_file()


def test_the_command_asks_for_data_and_refuses_options_without_a_source(project):
    for arguments, sentence in (([], "Give --data"), (["--data", project, "--keep", "all"], "belong to --source")):
        result = run(project / "tiny.yaml", "--out", project / "run", *arguments)
        assert isinstance(result.exception, RecipeError)
        assert sentence in str(result.exception)
