"""Write a model's description with another calibration to a file of its own."""

import json
from pathlib import Path

from pancascade.files.atomic import written_whole
from pancascade.files.digests import content_digest
from pancascade.files.given_paths import real_path
from pancascade.inference.models.model import Model
from pancascade.inference.models.model_calibration import Calibration
from pancascade.inference.models.model_files import find_file, public_place
from pancascade.metrics.calibration import Scaling, apply_scaling


def with_calibration(model: Model, calibration: Calibration) -> Model:
    """Return the model with another calibration and with its thresholds moved so that its masks stay the same.

    Scaling keeps the order of probabilities, so an equally scaled threshold marks the same voxels. Single voxels can
    differ only where the organ's probability is raised to the tumour's.
    """
    own = model.calibration
    thresholds = {
        "organ_threshold": _moved(model.organ_threshold, own.organ_scaling, calibration.organ_scaling),
        "tumour_threshold": _moved(model.tumour_threshold, own.tumour_scaling, calibration.tumour_scaling),
    }
    if model.least_tumour_score > 0:  # a mean of probabilities, so scaling it is an approximation
        least = _moved(model.least_tumour_score, own.tumour_scaling, calibration.tumour_scaling)
        thresholds["least_tumour_score"] = least
    return model.model_copy(update={"calibration": calibration} | thresholds)


def _moved(threshold: float, old: Scaling, new: Scaling) -> float:
    return float(apply_scaling(apply_scaling(threshold, old.inverse), new))


def write_model(model: Model, path: Path, *, whole_paths: bool = False) -> None:
    """Write a model's description, named after its file.

    Weights and card stay where they are. For those in other folders the file records a place without folder names, and
    the digest of the weights.

    Args:
        model: The model.
        path: The file.
        whole_paths: Write whole paths, for a temporary file.

    Raises:
        OutputError: The path cannot be written.
    """
    description = model.model_dump(mode="json", exclude={"folder"}) | {"name": path.stem}
    for step, reported in zip(model.steps, description["steps"], strict=True):
        weights = model.weights_of(step).absolute()
        reported["weights"] = str(weights) if whole_paths else public_place(weights, seen_from=path.parent)
        reported["digest"] = None if real_path(weights.parent) == real_path(path.parent) else content_digest(weights)
    if model.card is not None:
        card = find_file(model.card, folder=model.folder).absolute()
        description["card"] = str(card) if whole_paths else public_place(card, seen_from=path.parent)
    with written_whole(path) as temporary:
        temporary.write_text(json.dumps(description, indent=1) + "\n")
