"""Published counts of public data sets, compared with a download.

They often differ: data sets are corrected after a paper, and papers leave cases out without mention. A difference is
reported and is never a failure.
"""

from collections.abc import Callable, Iterable, Sequence

from pancascade.data.store.manifest import PublishedCount
from pancascade.data.store.prepared_case import PreparedCase

QIU = "Qiu et al. 2024"
TCIA = "TCIA, version of 2020-09-10,"
DECATHLON = "Antonelli et al. 2022"

MSD_CASES, MSD_TUMOUR_SLICES = 281, 1957 + 580
"""Counts of MSD Task07: 216 cases with 1957 slices that show tumour for training, 65 with 580 for testing."""
MSD_TUMOUR_SLICES_A_CASE = (4, 25)
NIH_PATIENTS, NIH_SLICES = 80, 18_942
NIH_PANCREAS_SLICES = 5304 + 1699
"""Of NIH Pancreas-CT with 82 patients: 62 with 5304 slices that show pancreas, 20 with 1699."""


def published_counts(cases: Iterable[PreparedCase]) -> list[PublishedCount]:
    """Return published counts of recognised data sets beside the counts of the cases.

    Counts are of the source, before resampling and selection; cases that could not be read are missing.

    Args:
        cases: Prepared cases; MSD Task07 and NIH Pancreas-CT are recognised by the name of the source.

    Source: Qiu et al. 2024; Antonelli et al. 2022; TCIA, doi 10.7937/K9/TCIA.2016.tNB1kqBU.
    """
    by_source: dict[str, list[PreparedCase]] = {}
    for case in cases:
        by_source.setdefault(case.source, []).append(case)
    return [
        count
        for source, found in sorted(by_source.items())
        for sign, counts in _KNOWN.items()
        if sign in source.lower()
        for count in counts(found)
    ]


def _of_msd(cases: Sequence[PreparedCase]) -> list[PublishedCount]:
    tumour = [case.found.with_tumour for case in cases]
    least, most = MSD_TUMOUR_SLICES_A_CASE
    return [
        _count("MSD Task07, labelled cases", len(cases), MSD_CASES, DECATHLON),
        _count(
            "MSD Task07, slices with tumour", sum(tumour), MSD_TUMOUR_SLICES, QIU, note="1957 + 580 in 216 + 65 cases"
        ),
        PublishedCount(
            what="MSD Task07, slices with tumour a case",
            found=f"{min(tumour)}–{max(tumour)}",
            published=f"{least}–{most}",
            paper=QIU,
            differs=(min(tumour), max(tumour)) != (least, most),
        ),
    ]


def _of_nih(cases: Sequence[PreparedCase]) -> list[PublishedCount]:
    slices, pancreas = (sum(getattr(case.found, key) for case in cases) for key in ("slices", "with_pancreas"))
    before = f"5304 + 1699 in 62 + 20 patients, before 25 and 70 were withdrawn; here {len(cases)}"
    return [
        _count("NIH Pancreas-CT, patients", len({case.patient for case in cases}), NIH_PATIENTS, TCIA),
        _count("NIH Pancreas-CT, slices", slices, NIH_SLICES, TCIA),
        _count("NIH Pancreas-CT, slices with pancreas", pancreas, NIH_PANCREAS_SLICES, QIU, note=before),
    ]


def _count(what: str, found: int, published: int, paper: str, *, note: str = "") -> PublishedCount:
    stated = f"{published} ({note})" if note else str(published)
    return PublishedCount(what=what, found=str(found), published=stated, paper=paper, differs=found != published)


_KNOWN: dict[str, Callable[[Sequence[PreparedCase]], list[PublishedCount]]] = {
    "task07": _of_msd,
    "pancreas-ct": _of_nih,
}
