"""Base of all settings: frozen, typed, with a strict check of keys."""

from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict


class Settings(BaseModel):
    """Frozen settings that refuse unknown keys, NaN and infinity."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


MOST_PIXELS = 8192
"""Largest height and width of a network's image: more than any CT has, and still within memory."""


def _multiples_of_16(size: tuple[int, int]) -> tuple[int, int]:
    if any(side <= 0 or side % 16 for side in size):
        raise ValueError(f"height and width must be positive multiples of 16, got {size}")
    if max(size) > MOST_PIXELS:
        raise ValueError(f"height and width must be at most {MOST_PIXELS}, got {size}")
    return size


UNetSize = Annotated[tuple[int, int], AfterValidator(_multiples_of_16)]
"""Height and width that can be halved four times without remainder."""
