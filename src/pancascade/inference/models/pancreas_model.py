"""A model whose pancreas another model finds."""

from pancascade.errors import UnknownModelError
from pancascade.inference.models.known_models import find_model
from pancascade.inference.models.model import Model


def with_pancreas_model(model: Model, name: str) -> Model:
    """A model whose pancreas another one finds: the other's steps, then its own that work in the pancreas's region.

    The organ is the other's alone, so that what was fitted to the model's own organ no longer holds.

    Args:
        model: That finds tumours in a region.
        name: As for `find_model`.

    Raises:
        UnknownModelError: There is no such model, or none of the first one's steps works in a region.
    """
    other = find_model(name)
    close = [step for step in model.steps if step.input == "roi"]
    if not close:
        raise UnknownModelError(f"{model.name}: has no step for a region of the pancreas. Choose another --model.")
    first = [step.model_copy(update={"weights": str(other.weights_of(step).absolute())}) for step in other.steps]
    then = [
        step.model_copy(update={"weights": str(model.weights_of(step).absolute()), "organ_weight": 0.0})
        for step in close
    ]
    organ_free = {"organ_temperature": 1.0, "organ_offset": 0.0, "organ": None}
    return model.model_copy(
        update={
            "name": f"{model.name} after {other.name}",
            "steps": (*first, *then),
            "organ_threshold": other.organ_threshold,
            "calibration": model.calibration.model_copy(update=organ_free),
            "location_fit": None,
            "trained_on": (*model.trained_on, *other.trained_on),
        }
    )
