"""Compare two results of one patient: changes in volume and diameter, new lesions and lesions that are gone."""

from typing import Literal, NamedTuple

from pancascade.messages.names_only import public_name
from pancascade.messages.notices import Notice
from pancascade.report.follow_up.follow_up_warnings import follow_up_warnings
from pancascade.report.follow_up.lesion_matching import Match, Way, match_lesions
from pancascade.report.scan.scan_report import organ_ml, tumour_ml, warnings_of
from pancascade.results.measurements import Lesion, Part
from pancascade.results.result import RESEARCH_ONLY, Result
from pancascade.settings import Settings

MEASURABLE_MM, MOST_TARGETS = 10.0, 2
"""RECIST 1.1: target lesions have at least 10 mm, and there are at most two in an organ."""

INCREASE_PERCENT, INCREASE_MM, DECREASE_PERCENT = 20.0, 5.0, 30.0
"""RECIST 1.1's thresholds for the sum of diameters."""

Category = Literal["increase", "decrease", "all_gone", "neither", "undefined"]
Fate = Literal["both", "new", "gone"]


class Change(Settings):
    """A number on both dates.

    Attributes:
        earlier: Number on the earlier date.
        later: Number on the later date.
    """

    earlier: float
    later: float

    @property
    def difference(self) -> float:
        """Later minus earlier number."""
        return self.later - self.earlier

    @property
    def percent(self) -> float | None:
        """Difference in per cent of the earlier number; None if that is 0."""
        return None if self.earlier == 0 else 100 * self.difference / self.earlier


class LesionChange(Settings):
    """One lesion on both dates, or on one.

    Attributes:
        fate: Whether it was marked on ``both`` dates, is ``new``, or ``gone``.
        earlier_number: Its number in the earlier result.
        later_number: Its number in the later result.
        earlier_part: Part of the pancreas in the earlier result.
        later_part: Part of the pancreas in the later result.
        volume_ml: Volume; 0 where it is not marked.
        long_mm: Longest axial diameter; 0 where it is not marked.
        short_mm: Diameter at a right angle to it; 0 where it is not marked.
        apart_mm: Distance between its positions in the organ; None for new and gone ones.
        target: Whether it counts in the sum of target lesions.
    """

    fate: Fate
    earlier_number: int | None
    later_number: int | None
    earlier_part: Part | None
    later_part: Part | None
    volume_ml: Change
    long_mm: Change
    short_mm: Change
    apart_mm: float | None
    target: bool


class FollowUp(Settings):
    """Comparison of two dates of one patient.

    Attributes:
        use: For research only.
        scans: Names of the scans' files, the earlier first.
        models: Models that segmented them.
        created: Times of the segmentations.
        pancreas_ml: Volume with tumours.
        tumour_ml: Volume of all marked tumour.
        sum_of_all_mm: Sum of the long diameters of all lesions of each date.
        sum_of_targets_mm: Sum of the long diameters of the earlier date's target lesions, on both dates.
        category: Category of that sum by RECIST 1.1's thresholds; arithmetic, not a response assessment.
        lesions: Lesions of the earlier date in their order, then new ones.
        matched_by: Kind of positions by which lesions were paired.
        notices: Why the dates may not be comparable.
        warnings: Warnings of each result.
    """

    use: str = RESEARCH_ONLY
    scans: tuple[str, str]
    models: tuple[str, str]
    created: tuple[str, str]
    pancreas_ml: Change
    tumour_ml: Change
    sum_of_all_mm: Change
    sum_of_targets_mm: Change
    category: Category
    lesions: tuple[LesionChange, ...]
    matched_by: Way
    notices: tuple[Notice, ...] = ()
    warnings: tuple[tuple[str, ...], tuple[str, ...]] = ((), ())


def compare_dates(earlier: Result, later: Result) -> FollowUp:
    """Compare two dates of one patient.

    Targets are the earlier date's two largest lesions of at least 10 mm; one that is gone counts as 0 mm.

    Args:
        earlier: Result of the earlier scan.
        later: Result of the later scan of the same patient.

    Source: RECIST 1.1 (Eisenhauer et al. 2009, Eur J Cancer 45, 228-247), with the earlier date as baseline and nadir.
    """
    matches, way = match_lesions(earlier, later)
    lesions = _lesion_changes(earlier.pancreas_and_lesions.lesions, later.pancreas_and_lesions.lesions, matches)
    targets = Change(
        earlier=sum(lesion.long_mm.earlier for lesion in lesions if lesion.target),
        later=sum(lesion.long_mm.later for lesion in lesions if lesion.target),
    )
    return FollowUp(
        scans=(public_name(earlier.scan), public_name(later.scan)),
        models=(earlier.model, later.model),
        created=(earlier.created, later.created),
        pancreas_ml=Change(earlier=organ_ml(earlier), later=organ_ml(later)),
        tumour_ml=Change(earlier=tumour_ml(earlier), later=tumour_ml(later)),
        sum_of_all_mm=Change(
            earlier=sum(lesion.long_mm.earlier for lesion in lesions),
            later=sum(lesion.long_mm.later for lesion in lesions),
        ),
        sum_of_targets_mm=targets,
        category=categorise(targets),
        lesions=tuple(lesions),
        matched_by=way,
        notices=tuple(follow_up_warnings(earlier, later)),
        warnings=(_sentences(earlier), _sentences(later)),
    )


def _sentences(result: Result) -> tuple[str, ...]:
    return tuple(str(entry) for entry in warnings_of(result))


def categorise(targets: Change) -> Category:
    """Return the category of a change in the sum of target lesions' diameters in mm, by RECIST 1.1's thresholds."""
    percent = targets.percent
    if percent is None:
        return "undefined"
    if targets.later == 0:
        return "all_gone"
    # Sums of decimals exactly at a threshold must not miss it by rounding.
    if percent >= INCREASE_PERCENT - 1e-9 and targets.difference >= INCREASE_MM - 1e-9:
        return "increase"
    return "decrease" if percent <= -DECREASE_PERCENT + 1e-9 else "neither"


def _lesion_changes(first: tuple[Lesion, ...], second: tuple[Lesion, ...], matches: list[Match]) -> list[LesionChange]:
    measurable = [lesion for lesion in first if lesion.diameters.long_mm >= MEASURABLE_MM]
    measurable.sort(key=lambda lesion: -lesion.diameters.long_mm)
    targets = {lesion.number for lesion in measurable[:MOST_TARGETS]}
    partners = {match.earlier: match for match in matches}
    changes = []
    for place, lesion in enumerate(first):
        match = partners.get(place)
        partner = None if match is None else second[match.later]
        apart = None if match is None else match.distance_mm
        changes.append(_lesion_change(lesion, partner, apart_mm=apart, target=lesion.number in targets))
    known = {match.later for match in matches}
    new = [lesion for place, lesion in enumerate(second) if place not in known]
    return changes + [_lesion_change(None, lesion, apart_mm=None, target=False) for lesion in new]


def _lesion_change(
    earlier: Lesion | None, later: Lesion | None, *, apart_mm: float | None, target: bool
) -> LesionChange:
    before, after = _sizes(earlier), _sizes(later)
    return LesionChange(
        fate="new" if earlier is None else "gone" if later is None else "both",
        earlier_number=None if earlier is None else earlier.number,
        later_number=None if later is None else later.number,
        earlier_part=None if earlier is None else earlier.part,
        later_part=None if later is None else later.part,
        volume_ml=Change(earlier=before.volume_ml, later=after.volume_ml),
        long_mm=Change(earlier=before.long_mm, later=after.long_mm),
        short_mm=Change(earlier=before.short_mm, later=after.short_mm),
        apart_mm=apart_mm,
        target=target,
    )


class _Sizes(NamedTuple):
    volume_ml: float
    long_mm: float
    short_mm: float


def _sizes(lesion: Lesion | None) -> _Sizes:
    if lesion is None:
        return _Sizes(0.0, 0.0, 0.0)
    return _Sizes(lesion.volume_ml, lesion.diameters.long_mm, lesion.diameters.short_mm)
