"""Settings of old weights: the variants in use before they became named options."""

from collections.abc import Mapping
from typing import Any

EARLIER_VARIANTS: dict[str, dict[str, Any]] = {
    "lsnet": {"heatmap_dice": "plain"},
    "zhao2019": {"label_reduction": "middle_voxel", "enlarging": "repeat"},
}
"""By kind of cascade, options whose default differs from the behaviour before the option existed."""


def with_earlier_variants(cascade: Any) -> Any:
    """Return a cascade's stored settings, completed by the variants of their time.

    A value that is no mapping, or has an unknown kind, is returned unchanged.
    """
    if not isinstance(cascade, Mapping) or not isinstance(cascade.get("kind"), str):
        return cascade
    return {**EARLIER_VARIANTS.get(cascade["kind"], {}), **cascade}
