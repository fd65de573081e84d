"""``export.json``: what the exported files are, and how they are chained, so that they can be used without us."""

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
    "(None: as they are); place them on a sheet of canvas.size filled with 0, the canvas.centre in its middle. The "
    "step's field says what is shown: the body in the whole scan, or the box of the pancreas found by the step before, "
    "widened by margin_mm on each side."
)

AFTERWARDS = (
    "Take the canvas off, smooth probabilities along the body (Gaussian, 2 mm), combine with the step before "
    "(organ_weight is this step's share of the organ inside its field). Organ: probability of pancreas and tumour "
    "together at least organ_threshold; tumour: probability at least tumour_threshold inside the organ."
)


class NetworkOutput(Settings):
    """One of the maps that a network gives.

    Attributes:
        name: In the exported file.
        shape: "batch", channels, rows, columns.
        meaning: What it says.
    """

    name: str
    shape: tuple[str | int, ...]
    meaning: str


class ExportedNetwork(Settings):
    """A network in a file of its own.

    Attributes:
        file: Beside ``export.json``; OpenVINO's weights lie in a .bin of the same name.
        network: Its place in the cascade: ``first``, ``saliency``, ``second``, ``network``.
        input_name: In the exported file.
        input_shape: "batch", channels, rows, columns.
        outputs: In order.
        largest_difference: From torch's float32 answers to random and drawn images, at any output.
        tolerance: What the difference was allowed to be, relative to the largest answer.
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
        step: As the model describes it: weights, field, margin, rois_from.
        cascade: Its settings: kind, scale, margin, crop size and more.
        canvas: How slices reach it.
        labels: What it segments besides background.
        chain: How its networks follow one another.
        networks: Its files.
    """

    step: dict[str, Any]
    cascade: dict[str, Any]
    canvas: dict[str, Any]
    labels: tuple[str, ...]
    chain: tuple[str, ...]
    networks: tuple[ExportedNetwork, ...]


class Export(Settings):
    """A model as files that other software runs.

    Attributes:
        model: Its name.
        summary: One sentence.
        licence: Of the weights.
        card: The model card's file, if there is one.
        file_format: Of the networks' files.
        versions: Of the software that exported.
        organ_threshold: Least probability of the organ, tumour included.
        tumour_threshold: Least probability of tumour.
        axes: What the axes are.
        preparation: From Hounsfield units to the canvas.
        afterwards: From the cascades' probabilities to labels.
        steps: In order.
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
    """Name and meaning of each map that a network on slices gives, in order."""
    if isinstance(network, FocusingNet | FocusingResNet):
        names = ("ml", "fm5", "fm4", "fm3") if isinstance(network, FocusingNet) else ("ml", "fm4", "fm3")
        deep = tuple((name, "logits from further away, for training only") for name in names)
        return (*deep, ("fm2", "logits of the target: the answer"))
    if isinstance(network, LocalizationNet):
        return (
            ("heatmap", "logits of being the centre of a region, a cell for 4 × 4 pixels"),
            ("distances", "from the cell's point to the left, top, right and bottom edge of its box, in pixels"),
        )
    if isinstance(network, SaliencyTransformation):
        return (("weights", "weights that the canvas is multiplied by"),)
    return (("logits", "logits of the target, or of the organ with tumour and of the tumour"),)
