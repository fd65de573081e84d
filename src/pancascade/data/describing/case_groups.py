"""The numbers of many cases summed up: of a whole data set, or of one part of a split."""

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
    """A quantity over the cases that have it.

    Attributes:
        cases: How many have it.
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
    """The cases of a data set, or of one part of a split.

    Attributes:
        name: ``all``, or that of the part.
        names: Cases with numbers, sorted.
        cases: How many they are.
        patients: Whose they are.
        with_pancreas: Cases that show pancreas or tumour.
        with_tumour: Cases that show tumour.
        slices: Axial slices of all cases.
        slices_with_pancreas: Those that show pancreas or tumour.
        slices_with_tumour: Those that show tumour.
        orientations: Number of cases by the orientation of their file.
        spreads: By the key of `case_quantities.BY_KEY`; without those that no case has.
        hu: Pooled over the cases, each of which counts the same; counts are shares of 1.
        lesions: Number of lesions of each size class; empty without whole scans.
        suggestions: For a recipe.
        crops: How the shipped recipes' crops fit.
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
    """Summary of at least one value; percentiles are interpolated."""
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
    """Cases of one group; their histograms are added up as they come and not kept."""

    def __init__(self) -> None:
        self.cases: list[CaseFingerprint] = []
        self._pools = {tissue: HuPool() for tissue in Tissue}

    def add(self, measured: MeasuredCase) -> None:
        """Add a case."""
        self.cases.append(measured.fingerprint)
        for tissue, found in measured.tissues.items():
            self._pools[tissue].add(found)

    def sorted_cases(self) -> list[CaseFingerprint]:
        """By name."""
        return sorted(self.cases, key=lambda case: case.case)

    def summed_up(self, name: str) -> CaseGroup:
        """The group, under this name; it has at least one case."""
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
