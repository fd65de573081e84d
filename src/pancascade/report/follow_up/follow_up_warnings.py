"""Warn if two results may not be comparable, or may not belong together."""

from collections.abc import Iterator

from pancascade.imaging.volume.acquisition import Acquisition
from pancascade.messages.names_only import public_name
from pancascade.messages.notices import Notice, Severity
from pancascade.report.scan.scan_report import organ_ml
from pancascade.results.result import Result

OTHER_SPACING = 1.5
"""Spacings that differ by this factor measure small lesions differently."""


def follow_up_warnings(earlier: Result, later: Result) -> list[Notice]:
    """Return all warnings about a pair of results.

    Args:
        earlier: Result of the earlier scan.
        later: Result of the later scan.
    """
    return [*_of_identity(earlier, later), *_of_method(earlier, later), *_of_scans(earlier, later)]


def _doubt(code: str, sentence: str, *, severity: Severity = "warning") -> Notice:
    return Notice(code=code, about="result", sentence=sentence, severity=severity)


def _of_identity(earlier: Result, later: Result) -> Iterator[Notice]:
    first, second = earlier.identifiers or {}, later.identifiers or {}
    patients = first.get("patient_id"), second.get("patient_id")
    if all(patients) and patients[0] != patients[1]:
        yield _doubt(
            "other_patient", "The scans carry different patient numbers: changes between them have no meaning."
        )
    dates = first.get("study_date", ""), second.get("study_date", "")
    if all(date.isdigit() for date in dates) and dates[0] > dates[1]:
        yield _doubt(
            "dates_reversed",
            f"The first scan was made on {dates[0]}, after the second on {dates[1]}: give the earlier one first.",
        )
    if _may_be_one_scan(earlier, later):
        yield _doubt(
            "same_scan", f"Both results are of {public_name(earlier.scan)} on one grid: it may be the same scan twice."
        )


def _of_method(earlier: Result, later: Result) -> Iterator[Notice]:
    if earlier.model != later.model:
        yield _doubt(
            "other_model",
            f"The dates were segmented by different models, {earlier.model} and {later.model}: changes may come from "
            "the models. Segment both with one model.",
        )
    if earlier.thresholds.tumour_marked != later.thresholds.tumour_marked:
        yield _doubt(
            "tumour_marked_once",
            "At one date no tumour was marked because of a low tumour score: a lesion that seems new or gone may be on "
            "both. Segment both with --save-probabilities and use `pancascade threshold --tumour`.",
        )
    if (earlier.thresholds.organ, earlier.thresholds.tumour) != (later.thresholds.organ, later.thresholds.tumour):
        both = [f"pancreas {of.thresholds.organ:g}, tumour {of.thresholds.tumour:g}" for of in (earlier, later)]
        yield _doubt(
            "other_thresholds",
            f"The dates have different thresholds ({both[0]}; {both[1]}): sizes are not comparable. Set the same ones.",
        )
    if earlier.backend != later.backend:
        yield _doubt(
            "other_engine",
            f"The dates were computed by different engines, {earlier.backend} and {later.backend}: borders may differ "
            "by single voxels.",
            severity="information",
        )


def _may_be_one_scan(earlier: Result, later: Result) -> bool:
    """Compare the digests of their voxels or, for older results without digests, file name and grid."""
    if earlier.scan_digest is not None and later.scan_digest is not None:
        return earlier.scan_digest == later.scan_digest
    return public_name(earlier.scan) == public_name(later.scan) and earlier.grid == later.grid


def _of_scans(earlier: Result, later: Result) -> Iterator[Notice]:
    spacings = [sorted(spacing_mm(result)) for result in (earlier, later)]
    if any(max(a, b) / min(a, b) > OTHER_SPACING for a, b in zip(*spacings, strict=True)):
        words = [" × ".join(f"{mm:.2f}" for mm in spacing_mm(result)) for result in (earlier, later)]
        yield _doubt(
            "other_spacing",
            f"The scans have different voxels ({words[0]} and {words[1]} mm): small lesions are measured differently.",
        )
    yield from _of_acquisition(earlier.acquisition, later.acquisition)
    for result, which in ((earlier, "earlier"), (later, "later")):
        if organ_ml(result) == 0:
            yield _doubt(
                "no_pancreas", f"On the {which} date no pancreas was marked: new and gone lesions may be wrong."
            )


def _of_acquisition(earlier: Acquisition | None, later: Acquisition | None) -> Iterator[Notice]:
    """Contrast counts where it is named once: a scan without it shows other densities, and hides tumours."""
    if earlier is None or later is None:
        return
    keys = [(each.kv, each.kernel) for each in (earlier, later)]
    other_contrast = earlier.contrast != later.contrast
    if other_contrast or any(a != b for a, b in zip(*keys, strict=True) if a is not None and b is not None):
        yield _doubt(
            "other_acquisition",
            f"The scans were acquired differently ({str(earlier) or 'unknown'}; {str(later) or 'unknown'}): compare "
            "densities and small lesions with care.",
            severity="warning" if other_contrast else "information",
        )


def spacing_mm(result: Result) -> tuple[float, float, float]:
    """Return the voxel spacing of a result's grid along each axis."""
    columns = zip(*(row[:3] for row in result.grid.affine[:3]), strict=True)
    first, second, third = (max(sum(step**2 for step in column) ** 0.5, 1e-6) for column in columns)
    return first, second, third
