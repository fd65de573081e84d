"""Every recipe reads the data that its name promises, and its cascade learns from them; with tiny networks."""

import csv
import json
import sys
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch
import yaml
from PIL import Image
from pydicom.uid import generate_uid

from pancascade.data.readers import msd
from pancascade.data.sampling import draw_batches, load_slices
from pancascade.data.splits.splits import read_split
from pancascade.errors import DataError, RecipeError
from pancascade.labels import Label
from pancascade.methods.cascades import Qiu2024Settings
from pancascade.methods.networks.build import PRESETS
from pancascade.training import loop, read_recipe
from pancascade.training import run as run_module
from pancascade.training.data import KEEP, read_training_data
from pancascade.training.recipe import recipes_folder

# DICOM files are written beside the tests of reading them.
sys.path.insert(0, str(Path(__file__).parents[1] / "imaging" / "io"))

from dicom_writing import ct_slices, save_all

pytestmark = pytest.mark.usefixtures("one_thread")

SHAPE, SPACING_MM = (48, 40, 12), (5.0, 5.0, 5.0)
NIH_NUMBERS = (1, 2, 22, 23, 42, 62, 63)
"""Patients of all four folds of RSTN."""

OTHERS = (
    "qiu2024_corrections",
    "qiu2024_region",
    "qiu2024_region_lesions",
    "qiu2024_region_more",
    "qiu2024_self_training",
    "qiu2024_whole_body",
    "unet_whole_body",
)
"""They stand on many sets of slices, or on results; other tests take a step of them."""

PAPERS = {
    "qiu2024": ("msd", "tumour", (216, 0, 65)),
    "qiu2024_authors": ("msd", "tumour", (216, 0, 65)),
    "qiu2024_nih": ("nih_pancreas_ct", "pancreas", (62, 0, 20)),
    "lsnet": ("nih_pancreas_ct", "pancreas", (60, 0, 20)),
    "coarse_to_fine": ("nih_pancreas_ct", "pancreas", (60, 0, 20)),
    "dsms_unet": ("msd", "pancreas", (70, 10, 20)),
    "zhao2019": ("nih_pancreas_ct", "all", None),
}
RECIPES = sorted(path.stem for path in recipes_folder().glob("*.yaml") if path.stem not in OTHERS)


def patient(seed):
    """HU and labels (I, J, K), axes to the left, back, head: a body with a spine and a bright organ with a tumour."""
    random = np.random.default_rng(seed)
    i, j, _ = np.indices(SHAPE)
    body = ((i - 24) / 21) ** 2 + ((j - 20) / 17) ** 2 < 1
    hu = np.where(body, -80, -1000) + random.normal(0, 9, SHAPE)
    hu[(i - 24) ** 2 + (j - 31) ** 2 < 12] = 400
    labels = np.zeros(SHAPE, np.uint8)
    labels[12:34, 12:20, 3:9] = Label.PANCREAS
    labels[16:24, 13:18, 4:7] = Label.TUMOUR
    hu[labels > 0] = 110
    hu[labels == Label.TUMOUR] = 60
    return hu.clip(-1024).astype(np.int16), labels


def nifti(voxels, path, matrix=None):
    path.parent.mkdir(parents=True, exist_ok=True)
    affine = np.diag((-SPACING_MM[0], -SPACING_MM[1], SPACING_MM[2], 1.0)) if matrix is None else matrix
    nib.save(nib.Nifti1Image(voxels, affine), path)


def write_msd(folder, count=6):
    names = [f"pancreas_{number:03d}.nii.gz" for number in range(1, count + 1)]
    for seed, name in enumerate(names):
        hu, labels = patient(seed)
        nifti(hu, folder / "imagesTr" / name)
        nifti(labels, folder / "labelsTr" / name)
    listed = [{"image": f"./imagesTr/{name}", "label": f"./labelsTr/{name}"} for name in names]
    content = {"modality": {"0": "CT"}, "labels": {"0": "background", "1": "pancreas", "2": "cancer"}}
    (folder / "dataset.json").write_text(json.dumps(content | {"training": listed, "test": []}))


def write_nih(folder):
    for number in NIH_NUMBERS:
        hu, labels = patient(number)
        name = f"PANCREAS_{number:04d}"
        slices = ct_slices(
            hu.transpose(2, 1, 0),
            origin_mm=(0.0, 0.0, 0.0),
            step_mm=(0, 0, SPACING_MM[2]),
            spacing_mm=SPACING_MM[:2],
            SeriesInstanceUID=generate_uid(),
            StudyInstanceUID=generate_uid(),
            SliceThickness=SPACING_MM[2],
            PatientID=name,
        )
        save_all(slices, folder / "Pancreas-CT" / name / "study" / "series", name="1-{:03d}.dcm")
        scan_lps = (labels > 0).astype(np.uint8)[:, ::-1, ::-1]
        path = folder / "TCIA_pancreas_labels-02-05-2017" / f"label{number:04d}.nii.gz"
        nifti(scan_lps, path, np.diag((-SPACING_MM[0], SPACING_MM[1], -SPACING_MM[2], 1.0)))


def write_slices(folder):
    """Pictures of two patients of each part of the shipped split, back at the top."""
    split = read_split(recipes_folder() / "splits" / "nih_slices.json")
    rows = [("name", "patient")]
    for part in ("images", "masks"):
        (folder / part).mkdir(parents=True)
    for name in [name for part in ("train", "validation") for name in sorted(split[part])[:2]]:
        hu, labels = patient(int(name))
        Image.fromarray(np.clip(hu[:, ::-1, 5].T, 0, 255).astype(np.uint8)).save(folder / "images" / f"{name}_5.png")
        Image.fromarray(labels[:, ::-1, 5].T > 0).save(folder / "masks" / f"{name}_5.png")
        rows.append((f"{name}_5", name))
    with (folder / "index.csv").open("w", newline="") as table:
        csv.writer(table).writerows(rows)


def write_regions(folder):
    """Regions of two patients of each part of the shipped split."""
    split = read_split(recipes_folder() / "splits" / "pdac_roi.json")
    rows = [("case", "hu_at_0", "hu_at_255")]
    for name in [name for part in ("train", "validation") for name in sorted(split[part])[:2]]:
        hu, labels = patient(int(name))
        grey = np.clip((hu + 150) / 400 * 255, 0, 255).astype(np.uint8)[6:42, 4:28, 1:11]
        classes = np.select([labels == Label.TUMOUR, labels == Label.PANCREAS], [1, 4]).astype(np.uint8)
        nifti(grey, folder / f"{name}_00001_ct.nii.gz")
        nifti(classes[6:42, 4:28, 1:11], folder / f"{name}_00001_label.nii.gz")
        rows.append((f"{name}_00001", "-150", "250"))
    with (folder / "index.csv").open("w", newline="") as table:
        csv.writer(table).writerows(rows)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """MSD and NIH as they are fetched, and the small sets."""
    folder = tmp_path_factory.mktemp("data")
    write_msd(folder / "msd-pancreas" / "Task07_Pancreas")
    write_nih(folder / "nih-pancreas-ct")
    write_slices(folder / "nih_slices")
    write_regions(folder / "pdac_roi")
    return folder


def tiny(network):
    """A network as a recipe names it, with as little as it can have."""
    assert "tiny" in PRESETS[network["name"]]
    options = {key: value for key, value in network.get("options", {}).items() if key not in ("widths", "depth")}
    if network["name"] == "multiscale_unet":
        options |= {"widths": [4, 4, 8, 8], "centre": 8}
    return {"name": network["name"], "preset": "tiny", "options": options}


def shrunk(name, folder):
    """A shipped recipe with tiny networks on a small canvas; method, data and their rules are as they were."""
    content = yaml.safe_load((recipes_folder() / f"{name}.yaml").read_text(encoding="utf-8"))
    cascade = content["cascade"]
    for role in ("network", "first", "second"):
        if role in cascade:
            cascade[role] = tiny(cascade[role])
    if "crop_size" in cascade:
        cascade["crop_size"] = [32, 32]
    if content["canvas"].get("kind") is None:
        content["canvas"] |= {"size": [64, 64], "spacing_mm": None}
    if content["cascade"]["kind"] == "zhao2019":
        cascade |= {"factor": 2, "margin": 2}
    content["batch_size"] = min(content["batch_size"], 2)
    content["precision"] = "32-true"
    content["augmentation"] = {"rotation_degrees": 5} if content.get("augmentation") else {}
    content["accumulate"] = 1
    path = folder / f"{name}.yaml"
    path.write_text(yaml.safe_dump(content))
    return read_recipe(path)


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_learns_two_steps_from_the_data_that_it_names(name, data, tmp_path):
    recipe = shrunk(name, tmp_path)
    sets = read_training_data(recipe, root=data, beside=recipes_folder(), out=tmp_path)
    assert all(len(samples) for samples in sets.training)
    if name in PAPERS:
        require_the_paper_s(recipe, sets, tmp_path)
    run = run_module.start(recipe, tmp_path / "run", device="cpu")
    for phase in {recipe.phases[0].name, recipe.phases[-1].name}:
        run.recipe = recipe.model_copy(update={"phases": tuple(p for p in recipe.phases if p.name == phase)})
        before, generator = run.step, torch.Generator().manual_seed(0)
        run.cascade.train()
        loop._begin_phase(run)
        dealt = draw_batches(
            sets.training,
            counts=sets.counts,
            batch_size=recipe.batch_size,
            augmentation=recipe.augmentation,
            generator=generator,
        )
        batch = next(iter(dealt))
        for _ in range(1 if len(recipe.phases) > 1 else 2):
            assert loop._train_batch(run, batch, generator, step_now=True)
        assert run.step > before
    assert run.step >= 2


def require_the_paper_s(recipe, sets, folder):
    """Data set, slices and split of a paper's recipe are the paper's."""
    reader, keep, shares = PAPERS[recipe.name]
    (source,), (samples,) = recipe.data, sets.training
    assert (source.reader, source.keep) == (reader, keep)
    a_patient = {"tumour": 3, "pancreas": 6, "all": 1}[keep]
    assert len(samples.names) == a_patient * len(set(samples.patients))
    assert all(KEEP[keep](labels) for labels in samples.labels)
    (written,) = folder.glob("split_*.json")
    content = json.loads(written.read_text())
    assert content["design"] == source.split
    if shares is None:
        numbers = [[int(patient[-4:]) for patient in fold] for fold in content["folds"]]
        assert numbers == [[1, 2], [22, 23], [42], [62, 63]]
        assert set(samples.patients) == {f"PANCREAS_{number:04d}" for number in NIH_NUMBERS[2:]}, "fold 0 is tested on"
        return
    sizes = [len(content[part]) for part in ("train", "validation", "test")]
    assert sum(sizes) == (6 if reader == "msd" else len(NIH_NUMBERS))
    assert sizes == pytest.approx([sum(sizes) * share / sum(shares) for share in shares], abs=1)
    assert set(samples.patients) == set(content["train"])


def test_the_same_seed_draws_the_same_split_and_one_that_is_there_stays(data, tmp_path):
    drawn = []
    for number in range(2):
        folder = tmp_path / str(number)
        folder.mkdir()
        recipe = shrunk("qiu2024", folder)
        read_training_data(recipe, root=data, beside=recipes_folder(), out=folder)
        drawn.append((folder / "split_Task07_Pancreas.json").read_bytes())
    assert drawn[0] == drawn[1]
    changed = json.loads(drawn[0])
    changed["train"], changed["test"] = changed["test"] + changed["train"][:1], changed["train"][1:]
    (tmp_path / "0" / "split_Task07_Pancreas.json").write_text(json.dumps(changed))
    sets = read_training_data(recipe, root=data, beside=recipes_folder(), out=tmp_path / "0")
    assert set(sets.training[0].patients) == set(changed["train"])


@pytest.mark.parametrize(("name", "below"), [("qiu2024", "msd-pancreas"), ("qiu2024", "msd-pancreas/Task07_Pancreas")])
def test_the_data_folder_may_be_the_data_set_s_own(name, below, data, tmp_path):
    recipe = shrunk(name, tmp_path)
    assert len(read_training_data(recipe, root=data / below, beside=tmp_path, out=tmp_path).training[0])


def test_nih_is_known_by_its_patients_folders_whatever_the_folder_is_called(data, tmp_path):
    (tmp_path / "download").symlink_to(data / "nih-pancreas-ct")
    recipe = shrunk("lsnet", tmp_path)
    assert len(read_training_data(recipe, root=tmp_path / "download", beside=tmp_path, out=tmp_path).training[0])


def test_another_task_of_the_decathlon_is_not_taken_for_the_pancreas(data, tmp_path):
    (tmp_path / "Task03_Liver").symlink_to(data / "msd-pancreas" / "Task07_Pancreas")
    with pytest.raises(DataError, match=r"dataset\.json"):
        read_training_data(shrunk("qiu2024", tmp_path), root=tmp_path / "Task03_Liver", beside=tmp_path, out=tmp_path)


def test_a_split_that_is_neither_a_file_nor_a_design_is_refused(data, tmp_path):
    recipe = shrunk("qiu2024", tmp_path)
    source = recipe.data[0].model_copy(update={"split": "qiu2025-msd"})
    with pytest.raises(RecipeError, match="qiu2025-msd: not found"):
        read_training_data(recipe.model_copy(update={"data": (source,)}), root=data, beside=tmp_path, out=tmp_path)


def test_slices_that_are_not_kept_are_never_drawn(data, tmp_path):
    cases = msd(data / "msd-pancreas" / "Task07_Pancreas")[:2]
    canvas = shrunk("qiu2024", tmp_path).canvas
    whole = load_slices(cases, canvas).select(KEEP["tumour"])
    kept = load_slices(cases, canvas, keep=KEEP["tumour"])
    assert torch.equal(whole.images, kept.images)
    assert torch.equal(whole.labels, kept.labels)
    assert (whole.names, whole.patients) == (kept.names, kept.patients)
    assert len(load_slices(cases, canvas, keep=lambda _: False)) == 0


def test_the_papers_options_stand_in_their_recipes():
    recipes = {name: read_recipe(recipes_folder() / f"{name}.yaml") for name in PAPERS}
    assert (recipes["zhao2019"].cascade.label_reduction, recipes["zhao2019"].cascade.enlarging) == ("area", "linear")
    assert recipes["lsnet"].cascade.heatmap_dice == "squared"
    for name in ("qiu2024", "qiu2024_authors", "qiu2024_nih"):
        settings = recipes[name].cascade
        assert isinstance(settings, Qiu2024Settings)
        assert (settings.margins, settings.crop_input, settings.second_loss) == ("random", "resized", "crop")
