"""Contents of ``export.json``: the exported files and how to chain them, for use without pancascade."""

from typing import Any, Literal

from pydantic import Field
from torch import nn

from pancascade.methods.networks.focusing_net import FocusingNet
from pancascade.methods.networks.focusing_resnet import FocusingResNet
from pancascade.methods.networks.localization_net import LocalizationNet
from pancascade.methods.networks.saliency import SaliencyTransformation
from pancascade.settings import Settings

ExportFormat = Literal["onnx", "openvino"]

AXES = (
    "Images are axial slices (batch, 1, rows, columns), float32: row 0 is anterior, column 0 the patient's right. With "
    "canvas.neighbours n there are 1 + 2 n channels: the slices neighbour_mm apart from the lowest to the highest, the "
    "slice itself in the middle, linear between the scan's slices, its end slices repeated. "
    "Axis 0 is of any length, the others are fixed."
)

CANVAS = (
    "Clip Hounsfield units to canvas.window and map them to [0, 1]; resample slices bilinearly to canvas.spacing_mm "
    "(None: keep their spacing); place them on a grid of canvas.size filled with 0, the canvas.centre in its middle. "
    "The step's input says what is shown: the patient in the whole scan, or the box of the pancreas of the step "
    "before, widened by margin_mm on each side."
)

AFTERWARDS = (
    "Map the canvas back to the scan, smooth probabilities along the body (Gaussian, 2 mm), combine with the step "
    "before (organ_weight is this step's weight for the organ inside its region). Organ: probability of pancreas and "
    "tumour together at least organ_threshold; tumour: probability at least tumour_threshold inside the organ."
)


class NetworkOutput(Settings):
    """One output map of a network.

    Attributes:
        name: Name in the exported file.
        shape: "batch", channels, rows, columns.
        meaning: Meaning of the values.
    """

    name: str
    shape: tuple[str | int, ...]
    meaning: str


class ExportedNetwork(Settings):
    """A network in a file of its own.

    Attributes:
        file: File beside ``export.json``; OpenVINO's weights are in a .bin of the same name.
        network: Its role in the cascade: ``first``, ``saliency``, ``second``, ``network``.
        input_name: Name of the input in the exported file.
        input_shape: "batch", channels, rows, columns.
        outputs: Output maps, in order.
        largest_difference: Largest difference from torch's float32 output, on random and synthetic images.
        tolerance: Largest allowed difference, relative to the largest output (at least 1).
    """

    file: str
    network: str
    input_name: str
    input_shape: tuple[str | int, ...]
    outputs: tuple[NetworkOutput, ...]
    largest_difference: float
    tolerance: float


class ExportedStep(Settings):
    """One cascade of a model.

    Attributes:
        step: The model's description of the step: weights, input, margin, rois_from.
        cascade: Settings of the cascade: kind, scale, margin, crop size and more.
        canvas: Preparation of slices.
        labels: Labels that it segments besides background.
        chain: How to run its networks one after another.
        networks: Its files.
    """

    step: dict[str, Any]
    cascade: dict[str, Any]
    canvas: dict[str, Any]
    labels: tuple[str, ...]
    chain: tuple[str, ...]
    networks: tuple[ExportedNetwork, ...]


class Export(Settings):
    """A model as files that other software can run.

    Attributes:
        model: Name of the model.
        summary: One sentence.
        licence: Licence of the weights.
        card: File of the model card, if there is one.
        file_format: Format of the networks' files.
        versions: Versions of the software that exported the model.
        organ_threshold: Least probability of the organ, tumour included.
        tumour_threshold: Least probability of tumour.
        axes: Axes and channels of the images.
        preparation: From Hounsfield units to the network grid.
        afterwards: From the cascades' probabilities to labels.
        steps: Steps in order.
    """

    format: Literal[1] = 1
    model: str
    summary: str
    licence: str
    card: str | None
    file_format: ExportFormat
    versions: dict[str, str]
    organ_threshold: float
    tumour_threshold: float
    axes: str = AXES
    preparation: str = CANVAS
    afterwards: str = AFTERWARDS
    steps: tuple[ExportedStep, ...] = Field(min_length=1)


def output_names(network: nn.Module) -> tuple[tuple[str, str], ...]:
    """Return name and meaning of each output map of a network on slices, in order."""
    if isinstance(network, FocusingNet | FocusingResNet):
        names = ("ml", "fm5", "fm4", "fm3") if isinstance(network, FocusingNet) else ("ml", "fm4", "fm3")
        deep = tuple((name, "logits of a deep supervision output, for training only") for name in names)
        return (*deep, ("fm2", "logits of the target: the result"))
    if isinstance(network, LocalizationNet):
        return (
            ("heatmap", "logits of a region's centre, one cell for 4 × 4 pixels"),
            ("distances", "pixels from the cell's point to the left, top, right and bottom edge of its box"),
        )
    if isinstance(network, SaliencyTransformation):
        return (("weights", "factors for the pixels of the canvas"),)
    return (("logits", "logits of the target, or of the organ with tumour and of the tumour"),)
