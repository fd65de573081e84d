"""Base of all configuration: frozen, typed, strict about keys."""

from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict


class Settings(BaseModel):
    """Frozen settings that refuse unknown keys and numbers that are none."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


MOST_PIXELS = 8192
"""Height and width of an image that a network sees: far more than any CT has, and still held by memory."""


def _multiples_of_16(size: tuple[int, int]) -> tuple[int, int]:
    if any(side <= 0 or side % 16 for side in size):
        raise ValueError(f"height and width must be positive multiples of 16, got {size}")
    if max(size) > MOST_PIXELS:
        raise ValueError(f"height and width must be at most {MOST_PIXELS}, got {size}")
    return size


UNetSize = Annotated[tuple[int, int], AfterValidator(_multiples_of_16)]
"""Height and width that four poolings halve without remainder."""
