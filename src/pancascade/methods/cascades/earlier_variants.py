"""What was done before a reading became an option: how weights were trained whose settings do not name it."""

from collections.abc import Mapping
from typing import Any

EARLIER_VARIANTS: dict[str, dict[str, Any]] = {
    "lsnet": {"heatmap_dice": "plain"},
    "zhao2019": {"label_reduction": "middle_voxel", "enlarging": "repeat"},
}
"""By kind of cascade, options whose default is no longer what was done before there was the option."""


def with_earlier_variants(cascade: Any) -> Any:
    """A cascade's settings as a checkpoint or a run wrote them down, complete in the sense of their time.

    Whatever is no mapping, or of no known kind, is given back as it is.
    """
    if not isinstance(cascade, Mapping) or not isinstance(cascade.get("kind"), str):
        return cascade
    return {**EARLIER_VARIANTS.get(cascade["kind"], {}), **cascade}
