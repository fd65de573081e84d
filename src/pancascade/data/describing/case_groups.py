"""Summaries of the measurements of many cases: of a whole data set, or of one part of a split."""

from collections import Counter
from collections.abc import Sequence

import numpy as np

from pancascade.data.describing.case_fingerprint import CaseFingerprint, MeasuredCase, Tissue
from pancascade.data.describing.case_quantities import BY_KEY
from pancascade.data.describing.hu_histogram import HuPool, TissueHu
from pancascade.data.describing.suggestions import CropFit, Suggestion, fit_crops, suggest
from pancascade.metrics.lesions import SIZE_CLASSES
from pancascade.settings import Settings


class Spread(Settings):
    """Distribution of a quantity over the cases that have it.

    Attributes:
        cases: Number of cases that have it.
        mean: Mean.
        sd: Standard deviation (n − 1); None for a single case.
        minimum: Smallest.
        p5: 5th percentile.
        median: Median.
        p95: 95th percentile.
        maximum: Largest.
    """

    cases: int
    mean: float
    sd: float | None
    minimum: float
    p5: float
    median: float
    p95: float
    maximum: float


class CaseGroup(Settings):
    """Summary of the cases of a data set, or of one part of a split.

    Attributes:
        name: ``all``, or the name of the part.
        names: Names of the measured cases, sorted.
        cases: Number of cases.
        patients: Number of patients.
        with_pancreas: Number of cases that show pancreas or tumour.
        with_tumour: Number of cases that show tumour.
        slices: Number of axial slices of all cases.
        slices_with_pancreas: Number of slices that show pancreas or tumour.
        slices_with_tumour: Number of slices that show tumour.
        orientations: Number of cases by the orientation of their file.
        spreads: Distributions by key of `case_quantities.BY_KEY`, without those that no case has.
        hu: Hounsfield units pooled over the cases with equal weights; counts are shares of 1.
        lesions: Number of lesions of each size class; empty without whole scans.
        suggestions: Suggestions for a recipe.
        crops: Fit of the shipped recipes' crops.
    """

    name: str
    names: tuple[str, ...]
    cases: int
    patients: int
    with_pancreas: int
    with_tumour: int
    slices: int
    slices_with_pancreas: int
    slices_with_tumour: int
    orientations: dict[str, int]
    spreads: dict[str, Spread]
    hu: dict[Tissue, TissueHu]
    lesions: dict[str, int]
    suggestions: tuple[Suggestion, ...]
    crops: tuple[CropFit, ...]


def spread(values: Sequence[float]) -> Spread:
    """Summarise at least one value; percentiles are interpolated."""
    numbers = np.asarray(values, np.float64)
    minimum, p5, median, p95, maximum = np.percentile(numbers, [0, 5, 50, 95, 100]).tolist()
    return Spread(
        cases=len(numbers),
        mean=float(numbers.mean()),
        sd=float(numbers.std(ddof=1)) if len(numbers) > 1 else None,
        minimum=minimum,
        p5=p5,
        median=median,
        p95=p95,
        maximum=maximum,
    )


class Gathered:
    """Collector of the cases of one group; their histograms are pooled one by one and not kept."""

    def __init__(self) -> None:
        self.cases: list[CaseFingerprint] = []
        self._pools = {tissue: HuPool() for tissue in Tissue}

    def add(self, measured: MeasuredCase) -> None:
        """Add a case."""
        self.cases.append(measured.fingerprint)
        for tissue, found in measured.tissues.items():
            self._pools[tissue].add(found)

    def sorted_cases(self) -> list[CaseFingerprint]:
        """Return the cases sorted by name."""
        return sorted(self.cases, key=lambda case: case.case)

    def summed_up(self, name: str) -> CaseGroup:
        """Return the summary under this name; the group needs at least one case."""
        cases = self.sorted_cases()
        pooled = {tissue: pool.result() for tissue, pool in self._pools.items()}
        hu = {tissue: found for tissue, found in pooled.items() if found is not None}
        values = {
            key: [v for case in cases if (v := quantity.of(case)) is not None] for key, quantity in BY_KEY.items()
        }
        return CaseGroup(
            name=name,
            names=tuple(case.case for case in cases),
            cases=len(cases),
            patients=len({case.patient for case in cases}),
            with_pancreas=sum(case.slices_with_pancreas > 0 for case in cases),
            with_tumour=sum(case.slices_with_tumour > 0 for case in cases),
            slices=sum(case.size_vox[2] for case in cases),
            slices_with_pancreas=sum(case.slices_with_pancreas for case in cases),
            slices_with_tumour=sum(case.slices_with_tumour for case in cases),
            orientations=dict(Counter(case.orientation for case in cases if case.orientation).most_common()),
            spreads={key: spread(found) for key, found in values.items() if found},
            hu=hu,
            lesions=_by_size(cases),
            suggestions=suggest(cases, hu),
            crops=fit_crops(cases),
        )


def _by_size(cases: Sequence[CaseFingerprint]) -> dict[str, int]:
    known = [case.lesions for case in cases if case.lesions is not None]
    diameters_mm = np.array([lesion.diameter_mm for lesions in known for lesion in lesions], np.float64)
    return {size.name: int(np.count_nonzero(size.holds(diameters_mm))) for size in SIZE_CLASSES} if known else {}
