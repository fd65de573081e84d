"""Whether a DICOM-SEG is of the series that is segmented, or at least of its patient's frame of reference."""

from pancascade.errors import GeometryError
from pancascade.imaging.io.dicom.masks import DicomMask
from pancascade.imaging.volume import Volume
from pancascade.messages.notices import Notice


def require_reference(segments: DicomMask | None, scan: Volume) -> None:
    """Pass for segments made on the scan's series, or on another one in the same frame of reference.

    Places in two frames of reference (PS3.3 C.7.4.1) have nothing to do with each other. A scan that is no DICOM tells
    neither, and masks that are no DICOM do not.

    Args:
        segments: None for a mask of another kind.
        scan: That is segmented.

    Raises:
        GeometryError: They are of another one.
    """
    if (
        segments is None
        or scan.series is None
        or scan.series in segments.series
        or _same_frame_of_reference(segments, scan)
    ):
        return
    raise GeometryError(
        f"{segments.path}: made on another series, whose frame of reference is not that of {scan.name}. Give the mask "
        "of this scan, or choose its series by --series.",
        code="other_grid",
    )


def series_notices(segments: DicomMask | None, scan: Volume) -> list[Notice]:
    """That the segments were made on another series, if so."""
    if segments is None or scan.series is None or not segments.series or scan.series in segments.series:
        return []
    sentence = (
        "The mask of the pancreas was made on another series of the same frame of reference: the patient may have "
        "breathed or moved between them. Look whether it fits."
    )
    return [Notice(code="pancreas_mask_other_series", about="input", sentence=sentence)]


def _same_frame_of_reference(segments: DicomMask, scan: Volume) -> bool:
    return segments.frame_of_reference is not None and segments.frame_of_reference == scan.frame_of_reference
