"""Validation between epochs: Dice of the slices with target, and a picture of them."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from pancascade.cascades import Cascade
from pancascade.io import written_whole
from pancascade.labels import COLOURS, Label
from pancascade.metrics import confusion
from pancascade.postprocessing import decide
from pancascade.sampling import SliceSet

LAST_COLUMN = 8


@torch.no_grad()
def predict_slices(cascade: Cascade, slices: SliceSet, *, batch_size: int = 8) -> Tensor:
    """Labels (N, H, W) uint8 of all slices."""
    device = next(cascade.parameters()).device
    labels = [
        decide(cascade(slices.batch(range(start, min(start + batch_size, len(slices)))).images.to(device))).cpu()
        for start in range(0, len(slices), batch_size)
    ]
    return torch.cat(labels)


def slice_dice(predicted: Tensor, slices: SliceSet, label: Label) -> dict[str, float]:
    """Dice of each slice that shows the label, by name. The pancreas is taken with its tumour."""
    wanted = (Label.PANCREAS, Label.TUMOUR) if label == Label.PANCREAS else (label,)
    found = {}
    for name, one, reference in zip(slices.names, predicted.numpy(), slices.labels.numpy(), strict=True):
        true = np.isin(reference, wanted)
        if true.any():
            found[name] = confusion(np.isin(one, wanted), true).dice
    return found


def validate(cascade: Cascade, sets: Sequence[SliceSet], *, picture: Path | None = None) -> dict[str, float]:
    """Mean Dice over the slices that show each of the cascade's labels, by label title.

    Args:
        cascade: In any mode; it is validated in evaluation mode and given back as it was.
        sets: Slices with references.
        picture: Where a sheet of slices with contours is written (PNG).
    """
    was_training = cascade.training
    cascade.eval()
    scores: dict[Label, list[float]] = {label: [] for label in cascade.labels}
    shown = []
    for slices in sets:
        predicted = predict_slices(cascade, slices)
        for label in cascade.labels:
            scores[label] += slice_dice(predicted, slices, label).values()
        shown.append((slices, predicted))
    cascade.train(was_training)
    if picture is not None and shown:
        _draw_sheet(shown, picture)
    return {label.title: float(np.mean(values)) for label, values in scores.items() if values}


def _draw_sheet(shown: Sequence[tuple[SliceSet, Tensor]], picture: Path) -> None:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(2 * LAST_COLUMN, 2.2 * len(shown)), facecolor="black", layout="tight")
    FigureCanvasAgg(figure)
    for row, (slices, predicted) in enumerate(shown):
        for column, index in enumerate(np.linspace(0, len(slices) - 1, LAST_COLUMN).astype(int)):
            axes = figure.add_subplot(len(shown), LAST_COLUMN, row * LAST_COLUMN + column + 1)
            axes.imshow(slices.images[index, 0].numpy(), cmap="gray", vmin=0, vmax=255)
            axes.set_axis_off()
            for label, colour in COLOURS.items():
                for label_map, style in ((slices.labels[index], ":"), (predicted[index], "-")):
                    mask = label_map.numpy() == label
                    if mask.any():
                        axes.contour(mask, [0.5], colors=colour, linewidths=0.8, linestyles=style)
    with written_whole(picture) as temporary:
        figure.savefig(temporary, dpi=80)
