"""Validation between epochs: Dice of the slices or volumes with target, and a picture of them."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from pancascade.data.sampling import SampleSet, SliceSet
from pancascade.files.atomic import written_whole
from pancascade.imaging.postprocessing import decide
from pancascade.labels import COLOURS, Label
from pancascade.methods.cascades import Cascade, Located, is_any
from pancascade.metrics import confusion
from pancascade.training.recipe import ValidateIn

LAST_COLUMN = 8


@torch.no_grad()
def predict(
    cascade: Cascade, samples: SampleSet, *, batch_size: int = 8, where: ValidateIn = "end_to_end"
) -> list[Tensor]:
    """Return labels (*S) uint8 of all slices or volumes.

    Args:
        cascade: Cascade in evaluation mode.
        samples: Slices, or volumes, which are processed one by one.
        batch_size: Number of slices per batch.
        where: ``true_boxes`` runs stage 2 in the reference boxes; the rest of the hand-over is stage 1's own.
            ``first_stage`` uses stage 1 only.
    """
    device = next(cascade.parameters()).device
    step = batch_size if isinstance(samples, SliceSet) else 1
    labels: list[Tensor] = []
    for start in range(0, len(samples), step):
        batch = samples.batch(range(start, min(start + step, len(samples))))
        images = batch.images.to(device)
        located = cascade.locate(images)
        if where == "first_stage":
            labels += list(_first_stage_labels(cascade, located, images).cpu())
            continue
        if where == "true_boxes":
            truth = is_any(batch.labels.to(device), cascade.first_target)
            located = cascade.replace_rois(located, cascade.from_mask(images, truth))
        labels += list(torch.from_numpy(decide(cascade.segment(images, located).cpu().numpy())))
    return labels


def _first_stage_labels(cascade: Cascade, located: Located, images: Tensor) -> Tensor:
    """Return (B, *S) uint8 where stage 1's P ≥ ½; a map on a coarser grid is enlarged as in its cascade."""
    found = cascade.first_map(located, images.shape[2:])[:, 0] >= 0.5
    return found.to(torch.uint8) * min(cascade.first_target)


def sample_dice(predicted: Sequence[Tensor], samples: SampleSet, label: Label) -> dict[str, float]:
    """Return the Dice of each slice or volume that shows the label, by name. The pancreas includes its tumour."""
    wanted = (Label.PANCREAS, Label.TUMOUR) if label == Label.PANCREAS else (label,)
    found = {}
    for name, one, reference in zip(samples.names, predicted, samples.labels, strict=True):
        true = np.isin(reference.numpy(), wanted)
        if true.any():
            found[name] = confusion(np.isin(one.numpy(), wanted), true).dice
    return found


def validate(
    cascade: Cascade, sets: Sequence[SampleSet], *, picture: Path | None = None, where: ValidateIn = "end_to_end"
) -> dict[str, float]:
    """Return the mean Dice over the slices or volumes that show each of the cascade's labels, by label title.

    Args:
        cascade: Cascade in any mode; validated in evaluation mode, then restored to its mode.
        sets: Slices or volumes with references.
        picture: PNG file to write, with slices and contours; None for none.
        where: See `predict`.
    """
    was_training = cascade.training
    cascade.eval()
    scores: dict[Label, list[float]] = {label: [] for label in cascade.labels}
    shown = []
    for samples in sets:
        predicted = predict(cascade, samples, where=where)
        for label in cascade.labels:
            scores[label] += sample_dice(predicted, samples, label).values()
        shown.append((samples, predicted))
    cascade.train(was_training)
    if picture is not None and shown:
        _draw_sheet(shown, picture)
    return {label.title: float(np.mean(values)) for label, values in scores.items() if values}


def _draw_sheet(shown: Sequence[tuple[SampleSet, Sequence[Tensor]]], picture: Path) -> None:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(2 * LAST_COLUMN, 2.2 * len(shown)), facecolor="black", layout="tight")
    FigureCanvasAgg(figure)
    for row, (samples, predicted) in enumerate(shown):
        for column, index in enumerate(np.linspace(0, len(samples) - 1, LAST_COLUMN).astype(int)):
            axes = figure.add_subplot(len(shown), LAST_COLUMN, row * LAST_COLUMN + column + 1)
            channels = samples.images[index]
            middle = channels[len(channels) // 2]
            image, reference, found = _as_slice(middle, samples.labels[index], predicted[index])
            axes.imshow(image.numpy(), cmap="gray", vmin=0, vmax=255)
            axes.set_axis_off()
            for label, colour in COLOURS.items():
                for label_map, style in ((reference, ":"), (found, "-")):
                    mask = label_map.numpy() == label
                    if mask.any():
                        axes.contour(mask, [0.5], colors=colour, linewidths=0.8, linestyles=style)
    with written_whole(picture) as temporary:
        figure.savefig(temporary, dpi=80)


def _as_slice(image: Tensor, reference: Tensor, found: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return a slice unchanged; of a volume (I, J, K) the axial slice with most target, as (rows, columns)."""
    if image.ndim == 2:
        return image, reference, found
    k = int((reference > 0).sum(dim=(0, 1)).argmax())
    return image[:, :, k].T, reference[:, :, k].T, found[:, :, k].T
