"""Names of losses in the settings of a cascade."""

from typing import Annotated

from pydantic import AfterValidator

from pancascade.methods.losses import SEGMENTATION_LOSSES


def known_loss(*more: str) -> AfterValidator:
    """Return a validator that accepts only names of `SEGMENTATION_LOSSES`.

    Args:
        more: Names of the cascade's own losses.
    """

    def check(name: str) -> str:
        known = (*SEGMENTATION_LOSSES, *more)
        if name not in known:
            raise ValueError(f"should be one of {', '.join(known)} (got {name!r})")
        return name

    return AfterValidator(check)


SegmentationLoss = Annotated[str, known_loss()]
"""Name of one of `SEGMENTATION_LOSSES`."""
