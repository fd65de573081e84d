"""Check that a DICOM-SEG belongs to the scan's series, or at least to its frame of reference."""

from pancascade.errors import GeometryError
from pancascade.imaging.io.dicom.masks import DicomMask
from pancascade.imaging.volume import Volume
from pancascade.messages.notices import Notice


def require_reference(segments: DicomMask | None, scan: Volume) -> None:
    """Accept segments made on the scan's series, or on another one in the same frame of reference.

    Positions in two frames of reference (PS3.3 C.7.4.1) cannot be compared. Scans and masks that are not DICOM have
    neither series nor frame of reference and are accepted.

    Args:
        segments: None for a mask of another format.
        scan: The scan that is segmented.

    Raises:
        GeometryError: They were made in another frame of reference.
    """
    if (
        segments is None
        or scan.series is None
        or scan.series in segments.series
        or _same_frame_of_reference(segments, scan)
    ):
        return
    raise GeometryError(
        f"{segments.path}: made on another series, in another frame of reference than {scan.name}. Give the mask "
        "of this scan, or choose its series by --series.",
        code="other_grid",
    )


def series_notices(segments: DicomMask | None, scan: Volume) -> list[Notice]:
    """Return a warning if the segments were made on another series."""
    if segments is None or scan.series is None or not segments.series or scan.series in segments.series:
        return []
    sentence = (
        "The mask of the pancreas was made on another series of the same frame of reference: the patient may have "
        "breathed or moved between them. Check that it fits."
    )
    return [Notice(code="pancreas_mask_other_series", about="input", sentence=sentence)]


def _same_frame_of_reference(segments: DicomMask, scan: Volume) -> bool:
    return segments.frame_of_reference is not None and segments.frame_of_reference == scan.frame_of_reference
