"""Slices as 8-bit PNG, as papers on 2-D networks export them."""

from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from pancascade.data.store.arrays import read_intact
from pancascade.errors import DataError
from pancascade.files.picture_faults import PICTURE_FAULTS
from pancascade.imaging.preprocessing.window import Window


def as_grey(hu: npt.NDArray[Any], window: Window) -> npt.NDArray[np.uint8]:
    """Convert Hounsfield units to grey values 0…255; `Window.to_hu` is the inverse within the window."""
    return np.rint(window.apply(hu) * 255).astype(np.uint8)


def as_png(pixels: npt.NDArray[np.uint8]) -> bytes:
    """Return the content of a one-channel PNG file.

    Args:
        pixels: (H, W): grey values, or ids of `pancascade.labels.Label`.
    """
    buffer = BytesIO()
    Image.fromarray(pixels).save(buffer, format="PNG")
    return buffer.getvalue()


def read_png(path: Path, *, digest: str) -> npt.NDArray[np.uint8]:
    """Read the pixels (H, W) of a PNG of a store.

    Args:
        path: The file.
        digest: Digest of the file when it was written.

    Raises:
        DataError: The file is missing or has changed.
    """
    content = read_intact(path, digest=digest)
    try:
        with Image.open(BytesIO(content)) as picture:
            return np.array(picture, dtype=np.uint8)
    except PICTURE_FAULTS as error:
        raise DataError(f"{path.name}: damaged. Prepare the data set again; it will be redone.") from error
