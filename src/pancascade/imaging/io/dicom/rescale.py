"""Check of rescale slope and intercept in all slices of a series."""

from collections.abc import Sequence
from pathlib import Path

from pancascade.errors import NotCTError
from pancascade.imaging.io.dicom.frames import Frame
from pancascade.messages.notices import Notice


def require_rescale(frames: Sequence[Frame], *, source: Path) -> list[Notice]:
    """Refuse a series in which only some slices have a rescale slope or intercept.

    Args:
        frames: Slices of one series.
        source: Names the series in messages.

    Returns:
        A warning if no slice has one of them; the stored values are then read with slope 1 and intercept 0.

    Raises:
        NotCTError: only some slices have one.
    """
    notices = []
    for keyword, without in (
        ("RescaleSlope", [frame for frame in frames if frame.slope is None]),
        ("RescaleIntercept", [frame for frame in frames if frame.intercept is None]),
    ):
        if 0 < len(without) < len(frames):
            raise NotCTError(
                f"{source}: {keyword} is missing in {len(without)} of {len(frames)} slices, the first is "
                f"{without[0].file.name}, so their HU are unknown. Export the series again.",
                code="rescale_missing",
            )
        if without:
            notices.append(keyword)
    if not notices:
        return []
    return [
        Notice(
            code="rescale_assumed",
            about="input",
            sentence=f"{source}: {' and '.join(notices)} {'is' if len(notices) == 1 else 'are'} missing; taken as "
            "slope 1 and intercept 0. Check that the values are HU.",
        )
    ]
