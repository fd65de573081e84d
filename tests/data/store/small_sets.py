"""Small data sets to prepare: noise with a pancreas, in one of every few a tumour."""

import json

import nibabel as nib
import numpy as np
from PIL import Image

# Axes to posterior, left, inferior, a little oblique: nothing is where it would be by accident.
OBLIQUE = np.eye(4)
OBLIQUE[:3, :3] = nib.eulerangles.euler2mat(0.02, 0.01, 0.03) @ [[0, -0.8, 0], [-0.7, 0, 0], [0, 0, -2.5]]
OBLIQUE[:3, 3] = 30, 20, 10
SHAPE = (12, 10, 7)


def voxels(number, *, tumour):
    """A scan and label map that differ from case to case; slices 2 to 5 of the file show pancreas, 3 tumour."""
    random = np.random.default_rng(number)
    hu = random.integers(-1024, 800, SHAPE).astype(np.int16)
    labels = np.zeros(SHAPE, np.uint8)
    labels[3:8, 2:7, 2:6] = 1
    if tumour:
        labels[4:6, 3:5, 3] = 2
    return hu, labels


def save(path, values, affine=OBLIQUE):
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.save(nib.Nifti1Image(values, affine), path)
    return path


def make_msd(folder, count=3):
    """A folder as MSD unpacks; every case but the first has a tumour."""
    listed = []
    for number in range(count):
        name = f"pancreas_{number:03d}.nii.gz"
        hu, labels = voxels(number, tumour=number > 0)
        save(folder / "imagesTr" / name, hu)
        save(folder / "labelsTr" / name, labels)
        listed.append({"image": f"./imagesTr/{name}", "label": f"./labelsTr/{name}"})
    labels = {"0": "background", "1": "pancreas", "2": "cancer"}
    (folder / "dataset.json").write_text(json.dumps({"labels": labels, "training": listed}))
    return folder


def make_pictures(folder, count=4):
    """A slice folder: two pictures a patient."""
    for part in ("images", "masks"):
        (folder / part).mkdir(parents=True)
    rows = ["name,patient"]
    for number in range(count):
        name = f"p{number // 2}_z{number:03d}"
        grey = np.random.default_rng(number).integers(0, 256, (16, 24)).astype(np.uint8)
        mask = np.zeros((16, 24), bool)
        mask[4:9, 5 + number : 12 + number] = True
        Image.fromarray(grey).save(folder / "images" / f"{name}.png")
        Image.fromarray(mask).save(folder / "masks" / f"{name}.png")
        rows.append(f"{name},p{number // 2}")
    (folder / "index.csv").write_text("\n".join(rows) + "\n")
    return folder


def content(store):
    """Every file of a store, by its path."""
    return {str(path.relative_to(store)): path.read_bytes() for path in sorted(store.rglob("*")) if path.is_file()}
