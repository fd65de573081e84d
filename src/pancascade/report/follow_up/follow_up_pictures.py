"""Pictures of both dates side by side: the three planes of each, and each lesion where it was measured."""

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from pancascade.imaging.volume import Volume
from pancascade.report.follow_up.follow_up import FollowUp
from pancascade.report.scan.key_images import KeyImage, KeyImages, draw_key_images
from pancascade.results.result import Result

PLANES = ("Axial", "Coronal", "Sagittal")
OVERVIEW_WIDTH = 900


@dataclass(frozen=True)
class PicturePair:
    """One thing on both dates.

    Attributes:
        title: What it is.
        earlier: None where there is no such picture.
        later: None where there is no such picture.
    """

    title: str
    earlier: KeyImage | None
    later: KeyImage | None


def pair_pictures(
    found: FollowUp, results: Sequence[Result], dates: Sequence[tuple[Volume, Volume] | None], overviews: Sequence[Path]
) -> list[PicturePair]:
    """Draw both dates.

    Args:
        found: How their lesions belong together.
        results: Of both dates, the earlier first.
        dates: Scan and mask of each; None where the scan is not at hand.
        overviews: ``overview.png`` of each, shown where a scan is missing; it may be missing, too.

    Returns:
        Planes first, then lesions; without any picture of either date, nothing.
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
    except OSError:
        return None
    small.thumbnail((OVERVIEW_WIDTH, OVERVIEW_WIDTH))
    packed = io.BytesIO()
    small.save(packed, format="JPEG", quality=82)
    address = "data:image/jpeg;base64," + base64.b64encode(packed.getvalue()).decode("ascii")
    return KeyImage("Overview", "as it was written; the scan is not at hand", address, *small.size)
