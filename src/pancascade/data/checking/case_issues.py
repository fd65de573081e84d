"""What the facts of a case say against it; the limits come from real label maps."""

from collections.abc import Iterator

from pancascade.data.checking.case_statistics import CaseFacts
from pancascade.data.checking.issues import Finding, Severity
from pancascade.data.checking.label_statistics import LabelFacts, Lesion
from pancascade.data.readers.label_flips import clearly_better
from pancascade.data.readers.structure import Structure
from pancascade.labels import Label

LEAST_ML, MOST_ML = 12.0, 400.0
"""Of pancreas and tumour together: 113 real ones have 33 to 294 mL."""

TINY_VOXELS, TINY_MM = 10, 3.0
MOST_OUTSIDE = 0.05
LEAST_OWN, MOST_OWN_SPREAD_HU = 0.2, 65.0
"""Contrast to the surround in units of the spread inside, and that spread: 64 real ones have 0.30 and more, 54 HU and
less; of one real mask at 300 other places of its scan, 99 % do not."""

LEAST_LARGEST_PIECE = 0.9
"""Share of the largest piece of pancreas and tumour: above 0.99 in 113 real ones."""


def judge(facts: CaseFacts) -> list[Finding]:
    """What is found against one case, worst first.

    Args:
        facts: Of the case.
    """
    if facts.fault is not None:
        return [_finding(facts, facts.fault.kind.value, Severity.ERROR, facts.fault.message)]
    found = [*_judge_image(facts)]
    if facts.label is not None:
        found += _judge_values(facts, facts.label)
        found += _judge_place(facts, facts.label)
    order = list(Severity)
    return sorted(found, key=lambda finding: order.index(finding.severity))


def _finding(facts: CaseFacts, kind: str, severity: Severity, message: str) -> Finding:
    return Finding(
        kind=kind, severity=severity, message=message, case=facts.name, patient=facts.patient, source=facts.source
    )


def _judge_image(facts: CaseFacts) -> Iterator[Finding]:
    for warning in facts.warnings:
        yield _finding(facts, "unusual-scan", Severity.NOTE, f"{facts.image_file}: {warning}")
    for warning in facts.label_warnings:
        yield _finding(facts, "unusual-label", Severity.WARNING, f"{facts.label_file}: {warning}")


def _judge_values(facts: CaseFacts, label: LabelFacts) -> Iterator[Finding]:
    """Does the label map hold what it should?"""
    if label.unknown:
        listed = ", ".join(f"{value} ({label.voxels[value]} voxels)" for value in label.unknown[:5])
        known = ", ".join(f"{value} {structure}" for value, structure in facts.meaning.items())
        message = f"holds {listed}, which has no meaning here (known: {known}). Export the label map again or mend it."
        yield _finding(facts, "unknown-label", Severity.ERROR, f"{facts.label_file}: {message}")
    if not label.voxels:
        # A slice beside the organ has an empty mask by right.
        severity = Severity.NOTE if facts.field == "slice" else Severity.ERROR
        message = f"{facts.label_file}: the label map is empty. Outline the organ, or list the scan without a label."
        yield _finding(facts, "empty-label", severity, message)
        return
    outlined = {structure for structure in label.structures if structure.label == Label.PANCREAS}
    expected = any(structure.label == Label.PANCREAS for structure in facts.meaning.values())
    if expected and not outlined and facts.field != "slice":
        has_tumour = Structure.TUMOUR in label.structures
        listed = ", ".join(label.structures) or "no known structure"
        message = f"{facts.label_file}: no pancreas is outlined, only {listed}. Outline it, or leave the case out."
        yield _finding(facts, "no-pancreas", Severity.WARNING if has_tumour else Severity.ERROR, message)


def _judge_place(facts: CaseFacts, label: LabelFacts) -> Iterator[Finding]:
    """Is the label the right way round and where the organ is? One that is not would fail all further looks."""
    if facts.turned_by_reader:
        listed = " and ".join(facts.turned_by_reader)
        message = f"{facts.label_file}: its header is wrong in {listed}; the reader turns it round. Nothing to do."
        yield _finding(facts, "flipped-label", Severity.NOTE, message)
    # A single slice shows too little to tell.
    better = clearly_better(label.turned) if facts.field != "slice" and facts.orientation else None
    if better is not None:
        listed = " and ".join(better.best.directions)
        message = (
            f"{facts.label_file}: {listed} are exchanged: turned round, the label is {better.best.contrast_hu:.0f} HU "
            f"brighter than its surround, as it is {better.as_it_is.contrast_hu:.0f} HU. Turn its voxels round."
        )
        yield _finding(facts, "flipped-label", Severity.ERROR, message)
        return
    if label.outside_body is not None and label.outside_body > MOST_OUTSIDE:
        message = (
            f"{facts.label_file}: {label.outside_body:.0%} of the label lies outside the body. Is it another scan's, "
            "or is its origin wrong?"
        )
        yield _finding(facts, "label-outside-body", Severity.ERROR, message)
        return
    yield from _judge_contrast(facts, label)
    yield from _judge_shape(facts, label)
    yield from _judge_lesions(facts, label)


def _judge_contrast(facts: CaseFacts, label: LabelFacts) -> Iterator[Finding]:
    """A tumour alone, or a single slice, need not stand out."""
    now = next((way for way in label.turned if not way.directions), None)
    if now is None or facts.field == "slice" or Structure.PANCREAS not in label.structures:
        return
    if now.clarity < LEAST_OWN or now.spread_hu > MOST_OWN_SPREAD_HU:
        message = (
            f"{facts.label_file}: the label follows no organ: it is {now.contrast_hu:.0f} HU brighter than its "
            f"surround, and values inside spread by {now.spread_hu:.0f} HU. Is it another scan's, or moved?"
        )
        yield _finding(facts, "misplaced-label", Severity.WARNING, message)


def _judge_shape(facts: CaseFacts, label: LabelFacts) -> Iterator[Finding]:
    ends = [end for end, voxels in label.border_voxels.items() if voxels == 0]
    if ends and facts.field == "scan":
        message = (
            f"{facts.label_file}: the label reaches the end of the scan ({', '.join(ends)}), so part of the organ "
            "is missing. Leave the case out of measurements of volume."
        )
        yield _finding(facts, "label-touches-border", Severity.WARNING, message)
    organ_ml = label.organ_ml
    if organ_ml and Structure.PANCREAS in label.structures and not LEAST_ML <= organ_ml <= MOST_ML:
        message = (
            f"{facts.label_file}: pancreas and tumour have {organ_ml:.1f} mL, usual are {LEAST_ML:g} to {MOST_ML:g}. "
            "Look at the label and at the spacing."
        )
        yield _finding(facts, "implausible-volume", Severity.WARNING, message)
    lost = any(not lesion.touches_pancreas for lesion in label.lesions)
    share = label.pieces[0] / sum(label.pieces) if label.pieces else 1.0
    if facts.field != "slice" and share < LEAST_LARGEST_PIECE and not lost:
        message = (
            f"{facts.label_file}: the organ is in {len(label.pieces)} pieces, the largest has {share:.0%} of it. "
            "Look whether something else is outlined."
        )
        yield _finding(facts, "fragmented-label", Severity.WARNING, message)


def _judge_lesions(facts: CaseFacts, label: LabelFacts) -> Iterator[Finding]:
    if facts.field == "slice":
        return
    tiny = [lesion for lesion in label.lesions if _is_tiny(lesion)]
    if tiny:
        # Specks beside a real lesion are slips of the pen; alone they decide whether the patient counts as ill.
        only = len(tiny) == label.lesion_count
        sizes = ", ".join(str(lesion.voxels) for lesion in tiny[:5])
        message = (
            f"{facts.label_file}: {len(tiny)} of {label.lesion_count} lesions are tiny ({sizes} voxels). "
            "Look whether they are meant; they count in detection."
        )
        yield _finding(facts, "tiny-lesion", Severity.WARNING if only else Severity.NOTE, message)
    lost = [lesion for lesion in label.lesions if not lesion.touches_pancreas and not _is_tiny(lesion)]
    if lost and any(structure.label == Label.PANCREAS for structure in label.structures):
        sizes = ", ".join(f"{lesion.volume_ml or 0:.2g}" for lesion in lost[:5])
        message = (
            f"{facts.label_file}: {len(lost)} of {label.lesion_count} lesions ({sizes} mL) do not touch the pancreas. "
            "Look whether something else is outlined."
        )
        yield _finding(facts, "tumour-outside-pancreas", Severity.WARNING, message)


def _is_tiny(lesion: Lesion) -> bool:
    return lesion.voxels < TINY_VOXELS or (lesion.extent_mm is not None and lesion.extent_mm < TINY_MM)
