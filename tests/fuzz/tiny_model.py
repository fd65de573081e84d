"""A scan and a model that finds the organ in it, both as small as the checks of scans allow."""

from functools import cache
from pathlib import Path
from shutil import copy
from tempfile import mkdtemp

import nibabel as nib
import numpy as np
import torch
from abdomen_phantom import LPS_AXES, abdomen, centred

from pancascade.imaging.preprocessing import Canvas, Window
from pancascade.methods.cascades import SingleStageSettings, build_cascade
from pancascade.methods.checkpoint import describe, save_checkpoint
from pancascade.methods.networks import NetworkSettings

SHAPE, SPACING_MM = (44, 36, 12), (6.0, 5.6, 5.5)
CANVAS = Canvas(size=(48, 48), spacing_mm=6.0, window=Window(lower_hu=-100, upper_hu=240))
SETTINGS = SingleStageSettings(network=NetworkSettings(name="unet", preset="tiny"), labels=("pancreas", "tumour"))
STEPS = 40


@cache
def scan_and_labels() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """HU, labels and affine of the phantom."""
    volume, labels = abdomen(centred(LPS_AXES, spacing_mm=SPACING_MM, shape=SHAPE), shape=SHAPE)
    return volume.voxels, labels, volume.affine


def write_scan(path: Path) -> None:
    """The phantom as NIfTI, by nibabel alone."""
    hu, _, affine = scan_and_labels()
    nib.save(nib.Nifti1Image(hu, affine), path)


def write_labels(path: Path) -> None:
    """Its label map."""
    _, labels, affine = scan_and_labels()
    nib.save(nib.Nifti1Image(labels, affine), path)


def write_weights(path: Path, *, steps: int = STEPS) -> None:
    """A checkpoint that finds the phantom's organ; after fewer steps it is less sure of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    copy(_trained(steps), path)


@cache
def _trained(steps: int) -> Path:
    hu, labels, _ = scan_and_labels()
    images = torch.zeros(SHAPE[2], 1, *CANVAS.size)
    targets = torch.zeros(SHAPE[2], *CANVAS.size, dtype=torch.long)
    inside = (..., slice(6, 6 + SHAPE[1]), slice(2, 2 + SHAPE[0]))
    images[:, 0][inside] = torch.tensor(CANVAS.window.apply(hu), dtype=torch.float32).permute(2, 1, 0)
    targets[inside] = torch.tensor(labels.astype(np.int64)).permute(2, 1, 0)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        cascade = build_cascade(SETTINGS).train()
        generator = torch.Generator().manual_seed(0)
        optimiser = torch.optim.Adam(cascade.parameters(), lr=0.03)
        for step in range(steps + 10):
            for losses in cascade.losses(images, targets, phase="train", generator=generator):
                optimiser.zero_grad()
                torch.stack(list(losses.values())).sum().backward()
                if step < steps:  # afterwards only the statistics of the normalisations settle
                    optimiser.step()
    path = Path(mkdtemp(prefix="pancascade-fuzz-")) / "w.safetensors"
    save_checkpoint(path, cascade, description=describe(SETTINGS, CANVAS))
    return path


def mask_answer(folder: Path) -> dict[str, object]:
    """Voxels and grid of the mask in a folder of results."""
    image = nib.load(folder / "segmentation.nii.gz")
    voxels = np.asarray(image.dataobj).astype(np.uint8)
    return {"grid": (image.shape, np.round(image.affine, 3).tolist()), "mask": voxels.tobytes()}
