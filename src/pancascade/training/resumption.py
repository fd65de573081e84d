"""Rules for changes of a recipe on resumption of a run."""

from collections.abc import Collection, Mapping
from typing import Any

from pancascade.errors import RecipeError, listed
from pancascade.files.documents import shortened
from pancascade.messages.names_only import names_only
from pancascade.methods.cascades.earlier_variants import EARLIER_VARIANTS
from pancascade.training.recipe import Recipe

_FIXED = (
    "cascade",
    "canvas",
    "precision",
    "optimiser.kind",
    "optimiser.momentum",
    "optimiser.bias_factor",
    "optimiser.decay_biases",
    "optimiser.factors",
    "optimiser.moments",
)
"""Settings that define the network, its input, or the parameters of the optimiser's moments."""

_PICTURES = ("window", "flip_rows", "region_margin")
"""Settings of a data source that are part of the network's input."""

_WITHOUT_EFFECT = ("name", "description", "pretrained")

MISSING = "not set"


def in_variants_of(recipe: Recipe, named: Collection[str]) -> Recipe:
    """Return the recipe of a resumed run: options named by neither get the behaviour before they existed.

    Args:
        recipe: The recipe as read.
        named: Options of the cascade that the run's settings name.
    """
    cascade = recipe.cascade
    readings = EARLIER_VARIANTS.get(cascade.kind, {})
    unnamed = {name: value for name, value in readings.items() if name not in {*named, *cascade.model_fields_set}}
    return recipe.model_copy(update={"cascade": cascade.model_copy(update=unnamed)}) if unnamed else recipe


def changes(former: Mapping[str, Any], now: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    """Return differing settings of two recipes by key, with both values, without those that only start a run.

    Args:
        former: Former settings, from `Recipe.model_dump` in JSON types.
        now: New settings, in the same form.
    """
    found = _differences("", dict(former), dict(now))
    return {place: values for place, values in found.items() if place.partition(".")[0] not in _WITHOUT_EFFECT}


def require_resumable(changed: Mapping[str, tuple[Any, Any]]) -> None:
    """Check that a run can be resumed with these changes.

    Args:
        changed: Result of `changes`.

    Raises:
        RecipeError: A change affects the network, its input, or the parameters of the optimiser's moments.
    """
    refused = [place for place, values in changed.items() if _is_fixed(place, values)]
    if refused:
        raise RecipeError(
            f"--resume: the recipe changed {listed([described(place, changed[place]) for place in refused[:2]])}: "
            "that is another run. Change it back, or choose another --out folder."
        )


def described(place: str, values: tuple[Any, Any]) -> str:
    """Return one change in words."""
    former, now = (shortened(names_only(str(MISSING if value is None else value)), 20) for value in values)
    return f"{shortened(place, 40)} from {former} to {now}"


def _is_fixed(place: str, values: tuple[Any, Any]) -> bool:
    if any(place == fixed or place.startswith(f"{fixed}.") for fixed in _FIXED):
        return True
    if place == "average_decay":
        return None in values
    return place.startswith("data.") and place.split(".")[2:3] != [] and place.split(".")[2] in _PICTURES


def _differences(place: str, former: Any, now: Any) -> dict[str, tuple[Any, Any]]:
    if isinstance(former, list) and isinstance(now, list) and len(former) == len(now):
        former, now = (dict(enumerate(values)) for values in (former, now))
    if not (isinstance(former, dict) and isinstance(now, dict)):
        return {} if former == now else {place: (former, now)}
    found: dict[str, tuple[Any, Any]] = {}
    for key in [*now, *(key for key in former if key not in now)]:
        below = f"{place}.{key}" if place else str(key)
        found |= _differences(below, former.get(key), now.get(key))
    return found
