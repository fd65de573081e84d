"""Shipped tables with the smallest networks and pictures, and small data sets in the layouts of MSD and NIH."""

import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1] / "data"))

from abdomen_set import abdomen, affine, save

from pancascade.reproduction.published_files import published_papers

SMALLER = {
    "preset: small": "preset: tiny",
    "size: [192, 256]": "size: [32, 48]",
    "crop_size: [96, 128]": "crop_size: [32, 32]",
    "cascade.crop_size: [192, 192]": "cascade.crop_size: [32, 48]",
    "spacing_mm: 1.3\n": "spacing_mm: 6.0\n",
    "changes: {phases: [{name: alternate, epochs: 20}]}": (
        "changes: {canvas: {size: [32, 64], spacing_mm: 6.0}, phases: [{name: alternate, epochs: 20}], "
        "cascade.first: {name: localization_net, preset: tiny}, cascade.second: {name: resnet_unet, preset: tiny}}"
    ),
    "cascade.centre_epochs: 5": (
        "cascade.first: {name: unet3d, preset: tiny}\n          cascade.second: {name: unet3d, preset: tiny}"
    ),
    "canvas.window: {lower_hu: -100, upper_hu: 240}": "canvas: {size: [32, 48], spacing_mm: 6.0}",
}


def tiny_paper(name: str, folder: Path) -> Path:
    """A paper's file, its tables as shipped but for sizes."""
    text = published_papers()[name].read_text(encoding="utf-8")
    for old, new in SMALLER.items():
        text = text.replace(old, new)
    path = folder / f"{name}.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def write_tiny_msd(folder: Path, *, patients: int = 5) -> Path:
    """The decathlon's layout, every second voxel and slice of the drawn abdomen."""
    import json

    listed = []
    for seed in range(patients):
        hu, labels = (np.ascontiguousarray(voxels[::2, ::2, 8:20:2]) for voxels in abdomen(seed))
        names = {"image": f"./imagesTr/p{seed}.nii.gz", "label": f"./labelsTr/p{seed}.nii.gz"}
        wide = affine() @ np.diag((2, 2, 2, 1))
        save(hu, folder / names["image"], wide)
        save(labels, folder / names["label"], wide)
        listed.append(names)
    content = {"labels": {"0": "background", "1": "pancreas", "2": "cancer"}, "training": listed, "test": []}
    (folder / "dataset.json").write_text(json.dumps(content))
    return folder


def write_tiny_nih(folder: Path, *, numbers: tuple[int, ...]) -> Path:
    """Patients of NIH Pancreas-CT as TCIA leaves them: DICOM series, and label maps with headers of their own."""
    sys.path.insert(0, str(Path(__file__).parents[1] / "imaging" / "io"))
    import nibabel as nib
    from dicom_writing import ct_slices, save_all

    labels = folder / "TCIA_pancreas_labels-02-05-2017"
    labels.mkdir(parents=True)
    for number in numbers:
        random = np.random.default_rng(number)
        organ = np.zeros((12, 26, 30), bool)
        organ[2:6, 4:10, 5:14] = True
        organ[2:9, 4:7, 5:9] = True
        hu = np.where(organ, 90, -100) + random.integers(-15, 15, organ.shape)
        series = folder / "Pancreas-CT" / f"PANCREAS_{number:04d}" / "11-24-2015-PANCREAS-18957" / "CT-63502"
        save_all(ct_slices(hu.astype(np.int16)), series)
        stored = organ.transpose(2, 1, 0)[:, ::-1, ::-1].astype(np.uint8)
        nib.save(nib.Nifti1Image(stored, np.diag((-0.7, 0.9, -2.5, 1.0))), labels / f"label{number:04d}.nii.gz")
    return folder
