"""Issues of a single case from its statistics; the limits come from real label maps."""

from collections.abc import Iterator

from pancascade.data.checking.case_statistics import CaseStatistics
from pancascade.data.checking.issues import Issue, Severity
from pancascade.data.checking.label_statistics import LabelledLesion, LabelStatistics
from pancascade.data.readers.label_flips import clearly_better
from pancascade.data.readers.structure import Structure
from pancascade.labels import Label

LEAST_ML, MOST_ML = 12.0, 400.0
"""Plausible volume of pancreas and tumour together: 113 real ones have 33 to 294 mL."""

TINY_VOXELS, TINY_MM = 10, 3.0
MOST_OUTSIDE = 0.05
LEAST_OWN, MOST_OWN_SPREAD_HU = 0.2, 65.0
"""Least contrast to the surround in units of the spread inside, and largest spread. 64 real masks have 0.30 or more,
and 54 HU or less; of one real mask at 300 other positions of its scan, 99 % fail."""

LEAST_LARGEST_COMPONENT = 0.9
"""Least share of the largest component of pancreas with tumour: above 0.99 in 113 real label maps."""


def find_case_issues(statistics: CaseStatistics) -> list[Issue]:
    """Return the issues of one case, worst first.

    Args:
        statistics: Statistics of the case.
    """
    if statistics.fault is not None:
        return [_issue(statistics, statistics.fault.kind.value, Severity.ERROR, statistics.fault.message)]
    found = [*_image_issues(statistics)]
    if statistics.label is not None:
        found += _values_issues(statistics, statistics.label)
        found += _place_issues(statistics, statistics.label)
    order = list(Severity)
    return sorted(found, key=lambda issue: order.index(issue.severity))


def _issue(statistics: CaseStatistics, kind: str, severity: Severity, message: str) -> Issue:
    return Issue(
        kind=kind,
        severity=severity,
        message=message,
        case=statistics.name,
        patient=statistics.patient,
        source=statistics.source,
    )


def _image_issues(statistics: CaseStatistics) -> Iterator[Issue]:
    for warning in statistics.warnings:
        yield _issue(statistics, "unusual-scan", Severity.NOTE, f"{statistics.image_file}: {warning}")
    for warning in statistics.label_warnings:
        yield _issue(statistics, "unusual-label", Severity.WARNING, f"{statistics.label_file}: {warning}")


def _values_issues(statistics: CaseStatistics, label: LabelStatistics) -> Iterator[Issue]:
    """Check that the label map has only known values and a pancreas."""
    if label.unknown:
        listed = ", ".join(f"{value} ({label.voxels[value]} voxels)" for value in label.unknown[:5])
        known = ", ".join(f"{value} {structure}" for value, structure in statistics.meaning.items())
        message = (
            f"holds {listed}, which has no meaning here (known: {known}). Export the label map again or correct it."
        )
        yield _issue(statistics, "unknown-label", Severity.ERROR, f"{statistics.label_file}: {message}")
    if not label.voxels:
        # A slice beside the organ may have an empty mask.
        severity = Severity.NOTE if statistics.field == "slice" else Severity.ERROR
        message = (
            f"{statistics.label_file}: the label map is empty. Outline the organ, or list the scan without a label."
        )
        yield _issue(statistics, "empty-label", severity, message)
        return
    outlined = {structure for structure in label.structures if structure.label == Label.PANCREAS}
    expected = any(structure.label == Label.PANCREAS for structure in statistics.meaning.values())
    if expected and not outlined and statistics.field != "slice":
        has_tumour = Structure.TUMOUR in label.structures
        listed = ", ".join(label.structures) or "no known structure"
        message = f"{statistics.label_file}: no pancreas is outlined, only {listed}. Outline it, or leave the case out."
        yield _issue(statistics, "no-pancreas", Severity.WARNING if has_tumour else Severity.ERROR, message)


def _place_issues(statistics: CaseStatistics, label: LabelStatistics) -> Iterator[Issue]:
    """Check the label's orientation and position; a wrong one would fail all further checks."""
    if statistics.turned_by_reader:
        listed = " and ".join(statistics.turned_by_reader)
        message = f"{statistics.label_file}: its header is wrong in {listed}; the reader flips it. Nothing to do."
        yield _issue(statistics, "flipped-label", Severity.NOTE, message)
    # A single slice shows too little for a decision.
    better = clearly_better(label.turned) if statistics.field != "slice" and statistics.orientation else None
    if better is not None:
        listed = " and ".join(better.best.directions)
        message = (
            f"{statistics.label_file}: {listed} are exchanged: flipped, the label is "
            f"{better.best.contrast_hu:.0f} HU "
            f"brighter than its surround, now {better.as_it_is.contrast_hu:.0f} HU. Flip its voxels."
        )
        yield _issue(statistics, "flipped-label", Severity.ERROR, message)
        return
    if label.outside_body is not None and label.outside_body > MOST_OUTSIDE:
        message = (
            f"{statistics.label_file}: {label.outside_body:.0%} of the label lies outside the body. Is it another "
            "scan's, "
            "or is its origin wrong?"
        )
        yield _issue(statistics, "label-outside-body", Severity.ERROR, message)
        return
    yield from _contrast_issues(statistics, label)
    yield from _shape_issues(statistics, label)
    yield from _lesions_issues(statistics, label)


def _contrast_issues(statistics: CaseStatistics, label: LabelStatistics) -> Iterator[Issue]:
    """Check that the label follows an organ, except for a tumour alone or a single slice."""
    now = next((way for way in label.turned if not way.directions), None)
    if now is None or statistics.field == "slice" or Structure.PANCREAS not in label.structures:
        return
    if now.clarity < LEAST_OWN or now.spread_hu > MOST_OWN_SPREAD_HU:
        message = (
            f"{statistics.label_file}: the label follows no organ: it is {now.contrast_hu:.0f} HU brighter than its "
            f"surround, and values inside spread by {now.spread_hu:.0f} HU. Is it another scan's, or moved?"
        )
        yield _issue(statistics, "misplaced-label", Severity.WARNING, message)


def _shape_issues(statistics: CaseStatistics, label: LabelStatistics) -> Iterator[Issue]:
    ends = [end for end, voxels in label.border_voxels.items() if voxels == 0]
    if ends and statistics.field == "scan":
        message = (
            f"{statistics.label_file}: the label reaches the end of the scan ({', '.join(ends)}), so part of the organ "
            "is missing. Leave the case out of measurements of volume."
        )
        yield _issue(statistics, "label-touches-border", Severity.WARNING, message)
    organ_ml = label.organ_ml
    if organ_ml and Structure.PANCREAS in label.structures and not LEAST_ML <= organ_ml <= MOST_ML:
        message = (
            f"{statistics.label_file}: pancreas and tumour have {organ_ml:.1f} mL, usual are {LEAST_ML:g} to "
            f"{MOST_ML:g}. "
            "Look at the label and at the spacing."
        )
        yield _issue(statistics, "implausible-volume", Severity.WARNING, message)
    lost = any(not lesion.touches_pancreas for lesion in label.lesions)
    share = label.pieces[0] / sum(label.pieces) if label.pieces else 1.0
    if statistics.field != "slice" and share < LEAST_LARGEST_COMPONENT and not lost:
        message = (
            f"{statistics.label_file}: the organ is in {len(label.pieces)} pieces, the largest has {share:.0%} of it. "
            "Check that nothing else is outlined."
        )
        yield _issue(statistics, "fragmented-label", Severity.WARNING, message)


def _lesions_issues(statistics: CaseStatistics, label: LabelStatistics) -> Iterator[Issue]:
    if statistics.field == "slice":
        return
    tiny = [lesion for lesion in label.lesions if _is_tiny(lesion)]
    if tiny:
        # Specks beside a real lesion are drawing errors; alone they decide whether the patient has a tumour.
        only = len(tiny) == label.lesion_count
        sizes = ", ".join(str(lesion.voxels) for lesion in tiny[:5])
        message = (
            f"{statistics.label_file}: {len(tiny)} of {label.lesion_count} lesions are tiny ({sizes} voxels). "
            "Check that they are intended; they count in detection."
        )
        yield _issue(statistics, "tiny-lesion", Severity.WARNING if only else Severity.NOTE, message)
    lost = [lesion for lesion in label.lesions if not lesion.touches_pancreas and not _is_tiny(lesion)]
    if lost and any(structure.label == Label.PANCREAS for structure in label.structures):
        sizes = ", ".join(f"{lesion.volume_ml or 0:.2g}" for lesion in lost[:5])
        message = (
            f"{statistics.label_file}: {len(lost)} of {label.lesion_count} lesions ({sizes} mL) do not touch the "
            "pancreas. "
            "Check that nothing else is outlined."
        )
        yield _issue(statistics, "tumour-outside-pancreas", Severity.WARNING, message)


def _is_tiny(lesion: LabelledLesion) -> bool:
    return lesion.voxels < TINY_VOXELS or (lesion.extent_mm is not None and lesion.extent_mm < TINY_MM)
