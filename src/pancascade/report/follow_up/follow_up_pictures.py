"""Draw both dates side by side: three planes of each, and each lesion in the slice of its measurement."""

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from pancascade.files.picture_faults import PICTURE_FAULTS
from pancascade.imaging.volume import Volume
from pancascade.report.follow_up.follow_up import FollowUp
from pancascade.report.scan.key_images import KeyImage, KeyImages, draw_key_images
from pancascade.results.result import Result

PLANES = ("Axial", "Coronal", "Sagittal")
OVERVIEW_WIDTH = 900


@dataclass(frozen=True)
class PicturePair:
    """The same picture on both dates.

    Attributes:
        title: What it shows.
        earlier: Picture of the earlier date, if there is one.
        later: Picture of the later date, if there is one.
    """

    title: str
    earlier: KeyImage | None
    later: KeyImage | None


def pair_pictures(
    found: FollowUp, results: Sequence[Result], dates: Sequence[tuple[Volume, Volume] | None], overviews: Sequence[Path]
) -> list[PicturePair]:
    """Draw the pictures of both dates.

    Args:
        found: The comparison with the pairs of lesions.
        results: Results of both dates, the earlier first.
        dates: Scan and mask of each date; None where the scan is not available.
        overviews: ``overview.png`` of each date, shown where a scan is missing; it may be missing, too.

    Returns:
        Planes first, then lesions; empty if neither date has a picture.
    """
    if any(date is None for date in dates):
        first, second = (_overview(path) for path in overviews)
        return [PicturePair("Overview", first, second)] if first or second else []
    drawn = [
        draw_key_images(*date, result.pancreas_and_lesions)
        for date, result in zip(dates, results, strict=True)
        if date is not None
    ]
    pairs = [PicturePair(name, *(_titled(images.planes, name) for images in drawn)) for name in PLANES]
    for lesion in found.lesions:
        numbers = (lesion.earlier_number, lesion.later_number)
        title = "Lesion " + " → ".join("–" if number is None else str(number) for number in numbers)
        pairs.append(PicturePair(title, *(_lesion(*each) for each in zip(drawn, numbers, strict=True))))
    return [pair for pair in pairs if pair.earlier or pair.later]


def _lesion(images: KeyImages, number: int | None) -> KeyImage | None:
    return None if number is None else _titled(images.lesions, f"Lesion {number}")


def _titled(images: Sequence[KeyImage], title: str) -> KeyImage | None:
    return next((image for image in images if image.title == title), None)


def _overview(path: Path) -> KeyImage | None:
    try:
        with Image.open(path) as picture:
            small = picture.convert("RGB")
    except PICTURE_FAULTS:
        return None
    small.thumbnail((OVERVIEW_WIDTH, OVERVIEW_WIDTH))
    packed = io.BytesIO()
    small.save(packed, format="JPEG", quality=82)
    address = "data:image/jpeg;base64," + base64.b64encode(packed.getvalue()).decode("ascii")
    return KeyImage("Overview", "as it was written; the scan is not available", address, *small.size)
