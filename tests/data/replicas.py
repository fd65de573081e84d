"""Small faithful replicas of data sets as distributed, made of a real CT and its outlined pancreas."""

import csv
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import nibabel as nib
import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

# DICOM files are written beside the tests of reading them.
sys.path.insert(0, str(Path(__file__).parents[1] / "imaging" / "io"))

from dicom_writing import ct_slices, save_all
from pydicom.uid import generate_uid

from pancascade.imaging.io import read_volume, write_nifti
from pancascade.imaging.preprocessing import Window
from pancascade.imaging.volume import Volume, reorient
from pancascade.labels import Label

DEMO_CT = Path(__file__).parents[2] / "examples" / "pancreatic_ct.nii.gz"
DEMO_MASK = Path(__file__).parents[1] / "data" / "pancreatic_ct_mask.nii.gz"
"""Of every second voxel within the slices; outlined by the shipped model, not by a person."""

AIR_HU = -1000
LOWEST_HU, HIGHEST_HU = Window().lower_hu, Window().upper_hu
NIH_LABELS = "TCIA_pancreas_labels-02-05-2017"


@dataclass(frozen=True)
class Patient:
    """A scan in HU and its labels, ids of `pancascade.labels.Label`, both LPS."""

    image: Volume
    labels: Volume


def demo_patient() -> Patient:
    """The demo scan, every second voxel of its slices, with its mask."""
    return thinned(read_volume(DEMO_CT), read_volume(DEMO_MASK), in_plane=2)


def thinned(image: Volume, labels: Volume, *, in_plane: int, along: int = 1) -> Patient:
    """Every so many voxels of a scan; the labels may have been thinned already."""
    steps = (in_plane, in_plane, along)
    image = reorient(image, "LPS")
    affine = image.affine @ np.diag((*steps, 1))
    few = image.voxels[:: steps[0], :: steps[1], :: steps[2]].astype(np.int16)
    marked = reorient(labels, "LPS").voxels
    if marked.shape != few.shape:
        marked = marked[:: steps[0], :: steps[1], :: steps[2]]
    return Patient(Volume(few, affine), Volume(whole_organ(marked), affine))


def whole_organ(labels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The largest piece, two slices away from either end of the scan."""
    inside = labels.copy()
    inside[:, :, :2] = inside[:, :, -2:] = Label.BACKGROUND
    pieces, count = ndimage.label(inside > 0)
    sizes = ndimage.sum_labels(inside > 0, pieces, range(1, count + 1))
    return np.where(pieces == 1 + int(np.argmax(sizes)), inside, Label.BACKGROUND).astype(np.uint8)


def invented(patient: Patient, seed: int) -> Patient:
    """Somebody else: another figure, organs moved by centimetres, and tissue that takes up contrast differently."""
    if seed == 0:
        return patient
    rng = np.random.default_rng(seed)
    image = patient.image
    shape, spacing = image.shape, np.array(image.spacing_mm)

    def smooth(sigma_mm: float) -> NDArray[np.float64]:
        field = ndimage.gaussian_filter(rng.normal(size=shape), sigma_mm / spacing, mode="wrap")
        return field / field.std()

    index = np.indices(shape).astype(np.float64)
    middle = (np.array(shape) - 1) / 2
    for axis, mm in enumerate((14.0, 14.0, 6.0)):
        stretch = rng.uniform(0.9, 1.12)
        index[axis] = middle[axis] + (index[axis] - middle[axis]) * stretch + mm * smooth(28) / spacing[axis]
    hu = ndimage.map_coordinates(image.voxels.astype(np.float32), index, order=1, mode="nearest")
    labels = ndimage.map_coordinates(patient.labels.voxels, index, order=0, mode="constant")
    tissue = np.clip((hu + 60) / 60, 0, 1)
    hu = hu + tissue * 22 * smooth(12) + rng.normal(0, 4, shape)
    return Patient(
        image.with_voxels(np.clip(hu, AIR_HU, 3000).astype(np.int16)), image.with_voxels(whole_organ(labels))
    )


def write_msd(folder: Path, patients: Sequence[Patient]) -> Path:
    """``dataset.json``, ``imagesTr``, ``labelsTr`` and an unlabelled scan in ``imagesTs``, as Task07 unpacks."""
    names = [f"pancreas_{number:03d}.nii.gz" for number in range(1, len(patients) + 1)]
    for name, patient in zip(names, patients, strict=True):
        nifti(patient.image, folder / "imagesTr" / name)
        nifti(patient.labels, folder / "labelsTr" / name)
    nifti(patients[0].image, folder / "imagesTs" / "pancreas_900.nii.gz")
    content = {
        "name": "Pancreas",
        "tensorImageSize": "3D",
        "modality": {"0": "CT"},
        "labels": {"0": "background", "1": "pancreas", "2": "cancer"},
        "numTraining": len(names),
        "numTest": 1,
        "training": [{"image": f"./imagesTr/{name}", "label": f"./labelsTr/{name}"} for name in names],
        "test": ["./imagesTs/pancreas_900.nii.gz"],
    }
    (folder / "dataset.json").write_text(json.dumps(content))
    return folder


def write_nnunet(folder: Path, patients: Sequence[Patient]) -> Path:
    """nnU-Net's raw layout, version 2."""
    for number, patient in enumerate(patients, start=1):
        nifti(patient.image, folder / "imagesTr" / f"case_{number:03d}_0000.nii.gz")
        nifti(patient.labels, folder / "labelsTr" / f"case_{number:03d}.nii.gz")
    content = {
        "channel_names": {"0": "CT"},
        "labels": {"background": 0, "pancreas": 1, "tumour": 2},
        "numTraining": len(patients),
        "file_ending": ".nii.gz",
    }
    (folder / "dataset.json").write_text(json.dumps(content))
    return folder


def write_panorama(folder: Path, patients: Sequence[Patient]) -> Path:
    """Images in a batch, label maps with the classes 1 to 6 in their own repository."""
    for number, patient in enumerate(patients):
        name = f"{100000 + number}_00001"
        nifti(patient.image, folder / "batch_1" / f"{name}_0000.nii.gz")
        labels = patient.labels.with_voxels(panorama_classes(patient))
        nifti(labels, folder / "panorama_labels" / "manual_labels" / f"{name}.nii.gz")
    return folder


def panorama_classes(patient: Patient) -> NDArray[np.uint8]:
    """Lesion 1, veins 2, arteries 3, parenchyma 4, pancreatic duct 5, bile duct 6; vessels are what shines nearby."""
    labels, hu = patient.labels.voxels, patient.image.voxels
    organ = labels > 0
    near = ndimage.binary_dilation(organ, iterations=4) & ~organ
    bright = near & (hu > 150)
    vein = np.arange(labels.shape[0])[:, None, None] < labels.shape[0] // 2
    classes = np.select([labels == Label.TUMOUR, labels == Label.PANCREAS, bright & vein, bright], [1, 4, 2, 3])
    classes[ndimage.binary_erosion(labels == Label.PANCREAS, iterations=2)] = 5
    classes[near & (hu > -20) & (hu < 10)] = 6
    return classes.astype(np.uint8)


def write_nih(folder: Path, patients: Sequence[Patient]) -> Path:
    """NIH Pancreas-CT: DICOM at the depth of TCIA's downloader, label maps with axes LAI and no origin."""
    for number, patient in enumerate(patients, start=1):
        name = f"PANCREAS_{number:04d}"
        study = folder / "manifest-1599750808610" / "Pancreas-CT" / name / f"11-24-2015-{name}-Pancreas-18957"
        dicom(patient.image, study / "Pancreas-63502", patient_id=name)
        scan_lps = (patient.labels.voxels > 0).astype(np.uint8)
        across, down, along = patient.labels.spacing_mm
        path = folder / NIH_LABELS / f"label{number:04d}.nii.gz"
        nifti(Volume(scan_lps[:, ::-1, ::-1], np.diag((-across, down, -along, 1.0))), path)
    return folder


def write_slices(folder: Path, patients: Sequence[Patient], *, every: int = 3) -> Path:
    """``index.csv``, 8-bit ``images`` and 1-bit ``masks`` of slices that show the pancreas."""
    (folder / "images").mkdir(parents=True)
    (folder / "masks").mkdir()
    rows = []
    for number, patient in enumerate(patients, start=1):
        organ = patient.labels.voxels > 0
        for k in np.flatnonzero(organ.sum(axis=(0, 1)) > 40)[::every]:
            name = f"p{number}_z{k:03d}"
            grey = np.clip((patient.image.voxels[:, :, k].T - LOWEST_HU) / (HIGHEST_HU - LOWEST_HU) * 255, 0, 255)
            Image.fromarray(grey.astype(np.uint8)).save(folder / "images" / f"{name}.png")
            Image.fromarray(organ[:, :, k].T).save(folder / "masks" / f"{name}.png")
            rows.append((name, f"p{number}"))
    write_table(folder / "index.csv", ("name", "patient"), rows)
    return folder


def write_list(folder: Path, patients: Sequence[Patient]) -> Path:
    """A CSV of image, label, patient; the CSV's path."""
    rows = []
    for number, patient in enumerate(patients, start=1):
        row = (f"scans/own_{number}.nii.gz", f"outlines/own_{number}.nii.gz", f"own-{number}")
        nifti(patient.image, folder / row[0])
        nifti(patient.labels, folder / row[1])
        rows.append(row)
    return write_table(folder / "own.csv", ("image", "label", "patient"), rows)


def write_table(path: Path, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> Path:
    with path.open("w", newline="") as lines:
        csv.writer(lines).writerows([columns, *rows])
    return path


def nifti(volume: Volume, path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_nifti(volume, path)
    return path


def dicom(image: Volume, folder: Path, *, patient_id: str) -> list[Path]:
    """A series as axial slices, feet first."""
    scan_lps = reorient(image, "LPS")
    across, down, along = scan_lps.spacing_mm
    slices = ct_slices(
        scan_lps.voxels.transpose(2, 1, 0),
        origin_mm=scan_lps.affine[:3, 3] * (-1, -1, 1),
        step_mm=(0, 0, along),
        spacing_mm=(down, across),
        SeriesInstanceUID=generate_uid(),
        StudyInstanceUID=generate_uid(),
        SliceThickness=along,
        PatientID=patient_id,
    )
    return save_all(slices, folder, name="1-{:03d}.dcm")


def header_of(path: Path) -> tuple[NDArray, NDArray]:
    """Voxels and affine as a NIfTI file has them."""
    found = nib.load(path)
    return np.asarray(found.dataobj), found.affine
