"""Evaluation of folders of masks: in parallel, resumable, with failures isolated per case."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from pancascade.errors import DataError
from pancascade.evaluation.held_out import SplitPart, require_held_out
from pancascade.evaluation.pairing import Failure, Pairs, find_masks, pair
from pancascade.evaluation.protocol import Protocol
from pancascade.evaluation.records import CaseRecord, Outcome
from pancascade.evaluation.work import Entry, MeasurementJob, run_jobs
from pancascade.execution import Executor
from pancascade.files.file_names import abbreviated, match_names, text_name
from pancascade.files.given_paths import real_path
from pancascade.messages.names_only import names_only

Reported = TypeVar("Reported")

Progress = Callable[[int, int], None]
"""Called with the number of finished cases and of all cases."""


@dataclass(frozen=True)
class Method:
    """Predictions to evaluate.

    Attributes:
        name: Name in tables.
        predictions: Folder of label maps, or one file.
        confidence: Folder of maps of the lesions' likelihood, with the same names; None without maps.
        scores: Likelihood that the patient has a lesion, by case.
        records: Folder with records of finished cases, so that a second run only does the rest; None: no records.
    """

    name: str
    predictions: Path
    confidence: Path | None = None
    scores: Mapping[str, float] = field(default_factory=dict)
    records: Path | None = None


@dataclass(frozen=True)
class Evaluation:
    """Records of a method.

    Attributes:
        method: Name of the method.
        protocol: Protocol of the measurement.
        cases: Records sorted by case.
        failures: Cases without results, sorted by name.
        left_out: Cases of other parts of the split, with the part of each.
    """

    method: str
    protocol: Protocol
    cases: tuple[CaseRecord, ...]
    failures: tuple[Failure, ...]
    left_out: Mapping[str, str] = field(default_factory=dict)


def evaluate(
    methods: Sequence[Method],
    reference: Path,
    *,
    protocol: Protocol | None = None,
    patients: Mapping[str, str] | None = None,
    part: SplitPart | None = None,
    allow_training_cases: bool = False,
    workers: int = 1,
    executor: Executor | None = None,
    progress: Progress | None = None,
) -> list[Evaluation]:
    """Compare predicted masks of all methods with their references, case by case.

    Args:
        methods: Predictions; each reference is read once for all of them.
        reference: Folder of label maps with the same names, or one file.
        protocol: Protocol of the comparison; None uses the default.
        patients: Patient of each case; a case without entry is its own patient.
        part: Measure only the cases of this part of a split; None measures all.
        allow_training_cases: Also measure known training cases of a method.
        workers: Number of processes. With more than one, a script needs the usual ``if __name__ == "__main__":``.
        executor: Executor of the work; None uses processes of this machine.
        progress: Called after each case.

    Returns:
        Evaluations in the order of the methods.

    Raises:
        DataError: A folder is missing, empty, or has no name in common with the references; a case is in no part of
            the split, or none is in the requested part; or a case is a known training case of a method.
    """
    protocol = protocol or Protocol()
    outcomes: dict[str, list[Outcome]] = {method.name: [] for method in methods}
    matched = {method.name: pair(method.predictions, reference) for method in methods}
    patients = _by_case(patients or {}, matched.values(), what="patients")
    left_out = _left_out(list(matched.values()), patients, part)
    matched = {name: pairs.without(left_out) for name, pairs in matched.items()}
    if not allow_training_cases:
        for name, pairs in matched.items():
            require_held_out(name, pairs.predictions, patients)
    jobs = _jobs(methods, matched, protocol=protocol, patients=patients, outcomes=outcomes)
    if progress is not None:
        progress(0, len(jobs))
    for done, found in enumerate(run_jobs(jobs, workers=workers, executor=executor), start=1):
        for name, outcome in found.items():
            outcomes[name].append(outcome)
        if progress is not None:
            progress(done, len(jobs))
    return [
        Evaluation(
            name,
            protocol,
            tuple(sorted((o for o in found if isinstance(o, CaseRecord)), key=lambda record: record.case)),
            tuple(sorted(o for o in found if isinstance(o, Failure))),
            left_out,
        )
        for name, found in outcomes.items()
    ]


def _by_case(table: Mapping[str, Reported], matched: Iterable[Pairs], *, what: str) -> dict[str, Reported]:
    """Return a table with its keys replaced by the matching names of cases.

    Raises:
        DataError: The table matches none of the cases.
    """
    cases = {name for pairs in matched for name in (*pairs.masks, *(failure.case for failure in pairs.failures))}
    reported = match_names(sorted(cases), table)
    if table and not reported:
        raise DataError(
            f"The table of {what} names none of the cases (for example {abbreviated(next(iter(table)))}, but "
            f"{abbreviated(min(cases))} is one). Name them as the masks are."
        )
    return reported


def method_name(predictions: Path) -> str:
    """Return the name of a folder of predictions in tables.

    Raises:
        DataError: It is not UTF-8 text.
    """
    return text_name(real_path(predictions).name)


def _confidence_maps(method: Method, cases: Sequence[str]) -> dict[str, Path]:
    """Return the confidence map of each case by name; a single file matches a single prediction of any name."""
    if method.confidence is None:
        return {}
    if method.confidence.is_file() and method.predictions.is_file():
        return dict.fromkeys(cases, method.confidence)
    return match_names(cases, find_masks(method.confidence)[0])


def _left_out(matched: Collection[Pairs], patients: Mapping[str, str], part: SplitPart | None) -> dict[str, str]:
    """Return the cases of other parts of the split, with the part of each."""
    if part is None:
        return {}
    cases = sorted({case for pairs in matched for case in pairs.masks})
    unmatched = sorted({failure.case for pairs in matched for failure in pairs.failures} - set(cases))
    left_out = part.left_out(cases, patients, unmatched=unmatched)
    if left_out.keys() >= set(cases):
        raise DataError(f"{part.split}: none of the {len(cases)} references belongs to its {part.part} part.")
    return left_out


def _jobs(
    methods: Sequence[Method],
    matched: Mapping[str, Pairs],
    *,
    protocol: Protocol,
    patients: Mapping[str, str],
    outcomes: dict[str, list[Outcome]],
) -> list[MeasurementJob]:
    """Return one job per case; add failures of unmatched cases to the outcomes."""
    entries: dict[str, list[Entry]] = {}
    references: dict[str, Path] = {}
    for method in methods:
        pairs = matched[method.name]
        outcomes[method.name] += pairs.failures
        confidence = _confidence_maps(method, list(pairs.masks))
        scores = _by_case(method.scores, [pairs], what="scores")
        for case, (true, found) in pairs.masks.items():
            if found is None and protocol.missing == "report":
                message = names_only(f"{true}: no prediction of this name in {method.predictions}.")
                outcomes[method.name].append(Failure(case, message))
                continue
            if found is not None and method.confidence is not None and case not in confidence:
                message = names_only(f"{found}: no confidence map of the name {case} in {method.confidence}.")
                outcomes[method.name].append(Failure(case, message))
                continue
            record = None if method.records is None else method.records / f"{case}.json"
            entry = Entry(method.name, found, confidence.get(case), scores.get(case), record)
            entries.setdefault(case, []).append(entry)
            references[case] = true
    return [
        MeasurementJob(case, references[case], patients.get(case, case), tuple(entries[case]), protocol)
        for case in sorted(entries)
    ]
