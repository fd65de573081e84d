"""Which worst cases of an evaluation get a picture."""

from collections.abc import Sequence
from typing import NamedTuple

from pancascade.evaluation import CaseRecord, Comparison, Evaluation, worst_cases

MOST_PICTURES = 16


class Wanted(NamedTuple):
    """A case to draw: its method, target and record."""

    method: str
    target: str
    record: CaseRecord


def choose_pictures(evaluations: Sequence[Evaluation], comparison: Comparison, targets: Sequence[str]) -> list[Wanted]:
    """Choose the worst cases to draw: three for each method, one for more than four methods, at most 16.

    If 16 are too few, each target and method gets its worst case first, better ranked methods before others.

    Args:
        evaluations: Evaluations of the methods.
        comparison: Values of the methods by case.
        targets: The targets.
    """
    count = 3 if len(evaluations) <= 4 else 1
    worst: dict[str, dict[str, list[CaseRecord]]] = {}
    for target in targets:
        first = next(entry for entry in comparison.metrics if entry.target == target)
        by_name = {evaluation.method: evaluation for evaluation in evaluations}
        order = [rank.name for rank in first.ranks] or list(by_name)
        worst[target] = {name: _worst_shown(by_name[name], comparison, target, count) for name in order}
    turns = [(turn, place, target) for turn in range(count) for place in range(len(evaluations)) for target in targets]
    chosen = []
    for turn, place, target in turns:
        method, records = list(worst[target].items())[place]
        if turn < len(records):
            chosen.append(((targets.index(target), place, turn), Wanted(method, target, records[turn])))
    return [wanted for _, wanted in sorted(chosen[:MOST_PICTURES], key=lambda pair: pair[0])]


def _worst_shown(evaluation: Evaluation, comparison: Comparison, target: str, count: int) -> list[CaseRecord]:
    """Return a method's worst cases that have something to draw."""
    records = {record.case: record for record in evaluation.cases}
    names = worst_cases(comparison, evaluation.method, target=target, count=len(records))
    found = [records[name] for name in names if records[name].shape[0]]  # slices without a volume have no files
    totals = [record.targets[target].total for record in found]
    shown = [record for record, c in zip(found, totals, strict=True) if c.reference_size or c.prediction_size]
    return shown[:count]
