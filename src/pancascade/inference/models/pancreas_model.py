"""A model whose pancreas another model finds."""

from pancascade.errors import UnknownModelError
from pancascade.inference.models.known_models import find_model
from pancascade.inference.models.model import Model


def with_pancreas_model(model: Model, name: str) -> Model:
    """Return a model whose pancreas comes from another one: the other's steps, then its own steps for a region.

    The organ is the other model's alone, so the calibration and fit of the model's own organ are removed.

    Args:
        model: Model that finds tumours in a region.
        name: Name or path of the other model, as for `find_model`.

    Raises:
        UnknownModelError: There is no such model, or no step of the first one works in a region.
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
