"""Hounsfield windows."""

from typing import Self

import numpy as np
from numpy.typing import NDArray
from pydantic import model_validator

from pancascade.settings import Settings


class Window(Settings):
    """A range of Hounsfield units, mapped to [0, 1].

    Attributes:
        lower_hu: HU mapped to 0; lower values become 0 too.
        upper_hu: HU mapped to 1; higher values become 1 too.
    """

    lower_hu: float = -100.0
    upper_hu: float = 240.0

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.lower_hu >= self.upper_hu:
            raise ValueError(f"lower_hu ({self.lower_hu}) must be < upper_hu ({self.upper_hu})")
        return self

    def apply(self, hu: NDArray[np.generic]) -> NDArray[np.float32]:
        """Return an array of Hounsfield units of any shape as float32 values in [0, 1]."""
        shown = hu.astype(np.float32)
        shown -= self.lower_hu
        shown /= self.upper_hu - self.lower_hu
        return np.clip(shown, 0.0, 1.0, out=shown)

    def to_hu(self, grey: NDArray[np.generic], *, white: float = 255.0) -> NDArray[np.int16]:
        """Return the Hounsfield units, rounded to int16, of grey values 0…white exported with this window."""
        hu = self.lower_hu + grey.astype(np.float32) * ((self.upper_hu - self.lower_hu) / white)
        return np.rint(hu).astype(np.int16)
