"""Issues of a whole data set: mixed geometry, patients with several cases, unused files."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from pancascade.data.checking.case_issues import find_case_issues
from pancascade.data.checking.case_statistics import CaseStatistics
from pancascade.data.checking.duplicates import DuplicatePair
from pancascade.data.checking.issues import Issue, Severity
from pancascade.data.readers.label_flips import clearly_better, together
from pancascade.data.readers.label_names import structures_of
from pancascade.labels import Label
from pancascade.messages.counts import counted

ODD_FACTOR = 2.5
FEWEST_TO_COMPARE = 5
LABELLED_FOLDERS = frozenset({"imagesTr", "labelsTr", "images", "masks"})


def find_issues(
    all_statistics: Sequence[CaseStatistics],
    *,
    pairs: Sequence[DuplicatePair] = (),
    loose: Mapping[str, Sequence[Path]] | None = None,
    label_names: Mapping[str, Mapping[int, str]] | None = None,
) -> list[Issue]:
    """Return all issues of one or several data sets, worst first, then by kind and case.

    Args:
        all_statistics: Statistics of every case.
        pairs: Pairs of similar images.
        loose: Files of each data set that no case uses.
        label_names: Name of each label value, for data sets that give names.
    """
    found = [issue for statistics in all_statistics for issue in find_case_issues(statistics)]
    by_source: dict[str, list[CaseStatistics]] = defaultdict(list)
    for statistics in all_statistics:
        by_source[statistics.source].append(statistics)
    for source, members in by_source.items():
        found += _set_issues(source, members)
    found += _meanings_issues(by_source)
    found += _pairs_issues(pairs)
    for source, paths in (loose or {}).items():
        found += _loose_issues(source, paths)
    for source, names in (label_names or {}).items():
        found += _label_issues(source, names)
    order = list(Severity)
    return sorted(found, key=lambda one: (order.index(one.severity), one.kind, one.case or "", one.message))


def _set_issues(source: str, members: Sequence[CaseStatistics]) -> Iterator[Issue]:
    whole = [statistics for statistics in members if statistics.field != "slice" and statistics.fault is None]
    patients = Counter(statistics.patient for statistics in whole)
    several = [patient for patient, count in patients.items() if count > 1]
    if several:
        message = f"{source}: {len(several)} patients have several cases ({_first(several)}). Split by patient."
        yield Issue(kind="several-cases", severity=Severity.NOTE, message=message)
    orientations = Counter(statistics.orientation for statistics in whole if statistics.orientation)
    if len(orientations) > 1:
        listed = ", ".join(f"{code} {count}" for code, count in orientations.most_common())
        message = f"{source}: the scans have different orientations ({listed}). Pancascade's readers reorient them."
        yield Issue(kind="mixed-orientation", severity=Severity.NOTE, message=message)
    unlike = [f.name for f in whole if f.label_orientation and f.label_orientation != f.orientation]
    if unlike:
        message = (
            f"{source}: in {counted(len(unlike), 'case')} the label file's axes point elsewhere than the scan's "
            f"({_first(unlike)}). Pancascade's readers reorient them; others may not."
        )
        yield Issue(kind="mixed-orientation", severity=Severity.NOTE, message=message)
    yield from _spacing_issues(source, whole)
    yield from _turned_slices_issues([statistics for statistics in members if statistics.field == "slice"])


def _spacing_issues(source: str, whole: Sequence[CaseStatistics]) -> Iterator[Issue]:
    """Yield a note for cases with a much larger or smaller spacing than the others."""
    apart = {statistics.name: max(statistics.spacing_mm) for statistics in whole if statistics.spacing_mm}
    if len(apart) < FEWEST_TO_COMPARE:
        return
    usual = sorted(apart.values())[len(apart) // 2]
    odd = [name for name, mm in apart.items() if not usual / ODD_FACTOR <= mm <= usual * ODD_FACTOR]
    if odd:
        listed = _first([f"{name} {apart[name]:.3g} mm" for name in odd])
        message = (
            f"{source}: in {counted(len(odd), 'case')} the spacing is far from the usual {usual:.3g} mm ({listed})."
        )
        yield Issue(kind="odd-spacing", severity=Severity.NOTE, message=message, others=tuple(odd))


def _turned_slices_issues(slices: Sequence[CaseStatistics]) -> Iterator[Issue]:
    """Check the orientation of masks over all slices of a patient, as a single slice shows too little."""
    by_patient: dict[str, list[CaseStatistics]] = defaultdict(list)
    for statistics in slices:
        if statistics.label is not None and statistics.label.turned:
            by_patient[statistics.patient].append(statistics)
    for patient, members in by_patient.items():
        if len(members) < FEWEST_TO_COMPARE:
            continue
        better = clearly_better(
            together([statistics.label.turned for statistics in members if statistics.label is not None])
        )
        if better is None:
            continue
        message = (
            f"{members[0].label_file}: in the {len(members)} masks of patient {patient} "
            f"{' and '.join(better.best.directions)} are exchanged. Flip them."
        )
        names = tuple(statistics.name for statistics in members)
        yield Issue(
            kind="flipped-label",
            severity=Severity.ERROR,
            message=message,
            case=names[0],
            patient=patient,
            source=members[0].source,
            others=names[1:],
        )


def _meanings_issues(by_source: Mapping[str, Sequence[CaseStatistics]]) -> Iterator[Issue]:
    """Yield a note for each label value with different structures in different data sets."""
    structures: dict[int, dict[str, str]] = defaultdict(dict)
    for source, members in by_source.items():
        for statistics in members:
            for value, structure in statistics.meaning.items():
                structures[value][source] = structure
    for value, named in sorted(structures.items()):
        if len(set(named.values())) > 1:
            listed = ", ".join(f"{structure} in {source}" for source, structure in named.items())
            message = f"Label value {value} is {listed}. Pancascade's readers translate; others may not."
            yield Issue(kind="label-meaning", severity=Severity.NOTE, message=message)


def _label_issues(source: str, names: Mapping[int, str]) -> Iterator[Issue]:
    """Yield a note about the interpretation of ambiguous label names, such as another organ's tumour."""
    structures = structures_of(names)
    if all(structure.label and names[value].isalpha() for value, structure in structures.items()):
        return
    taken: dict[str, list[str]] = {label.title: [] for label in (Label.PANCREAS, Label.TUMOUR, Label.BACKGROUND)}
    for value, structure in sorted(structures.items()):
        taken[structure.label.title].append(f"{value} ({names[value]})")
    listed = "; ".join(f"{_first(values)} as {title}" for title, values in taken.items() if values)
    yield Issue(kind="label-meaning", severity=Severity.NOTE, message=f"{source}: takes label {listed}.")


def _pairs_issues(pairs: Iterable[DuplicatePair]) -> Iterator[Issue]:
    for pair in pairs:
        first, second = pair.first, pair.second
        same = first.patient == second.patient
        alike = "the same image" if pair.kind == "same-image" else "nearly the same image"
        both = f"{first.name} of {first.source} and {second.name} of {second.source} are {alike}"
        if same:
            message = f"{both}, of patient {first.patient}. Keep one."
        else:
            message = f"{both}, but count as patients {first.patient} and {second.patient}. Drop one, or group them."
        yield Issue(
            kind="repeated-scan" if same else "duplicate-patient",
            severity=Severity.NOTE if same else Severity.ERROR,
            message=message,
            case=first.name,
            patient=first.patient,
            source=first.source,
            others=(second.name,),
        )


def _loose_issues(source: str, paths: Sequence[Path]) -> Iterator[Issue]:
    """Yield a warning for unused files in folders of images or labels, and a note for other unused files."""
    partners = [path for path in paths if path.parent.name in LABELLED_FOLDERS]
    others = [path for path in paths if path.parent.name not in LABELLED_FOLDERS]
    for found, severity, advice in (
        (partners, Severity.WARNING, "Add the partner or the list's entry, or remove them."),
        (others, Severity.NOTE, "They are ignored."),
    ):
        if found:
            files = "1 image file belongs" if len(found) == 1 else f"{len(found)} image files belong"
            message = f"{source}: {files} to no case ({_first([str(path) for path in found])}). {advice}"
            yield Issue(kind="loose-file", severity=severity, message=message)


def _first(names: Sequence[str]) -> str:
    return ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")
