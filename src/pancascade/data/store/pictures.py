"""Slices as PNG of 8 bits, as papers on 2-D networks export them."""

from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, UnidentifiedImageError

from pancascade.data.store.arrays import read_intact
from pancascade.errors import DataError
from pancascade.imaging.preprocessing.window import Window


def as_grey(hu: npt.NDArray[Any], window: Window) -> npt.NDArray[np.uint8]:
    """Grey values 0…255 of Hounsfield units; `Window.to_hu` brings them back as far as the window reaches."""
    return np.rint(window.apply(hu) * 255).astype(np.uint8)


def as_png(pixels: npt.NDArray[np.uint8]) -> bytes:
    """A PNG file of one channel.

    Args:
        pixels: (H, W): grey values, or ids of `pancascade.labels.Label`.
    """
    buffer = BytesIO()
    Image.fromarray(pixels).save(buffer, format="PNG")
    return buffer.getvalue()


def read_png(path: Path, *, digest: str) -> npt.NDArray[np.uint8]:
    """The pixels (H, W) of a PNG of a store.

    Args:
        path: The file.
        digest: That it had when it was written.

    Raises:
        DataError: It is missing or not as it was written.
    """
    content = read_intact(path, digest=digest)
    try:
        with Image.open(BytesIO(content)) as picture:
            return np.array(picture, dtype=np.uint8)
    except (UnidentifiedImageError, OSError, ValueError) as error:
        raise DataError(f"{path.name}: damaged. Prepare the data set again; it will be redone.") from error
