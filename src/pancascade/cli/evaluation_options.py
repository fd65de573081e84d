"""What ``evaluate`` and ``compare`` share: options of the protocol, the run with its progress bar, what is printed."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pancascade.cli.exit_codes import INCOMPLETE
from pancascade.errors import DataError, with_first_reason
from pancascade.parallel import available_cores

if TYPE_CHECKING:
    from rich.console import Console

    from pancascade.evaluation import Comparison, DetectionSummary, Evaluation, Method, Protocol, SplitPart, Summary
    from pancascade.execution import Executor
    from pancascade.metrics import Interval

ProtocolName = Annotated[
    str,
    typer.Option(
        "--protocol",
        help="default, qiu2024, lsnet, dsms_unet, zhao2019, nnunet, panorama, or a .yaml file of settings.",
    ),
]
Labels = Annotated[
    str | None,
    typer.Option(help="Values of each target, like pancreas=1+2,tumour=2 (the default).", show_default=False),
]
ReferenceLabels = Annotated[
    str | None, typer.Option(help="The same for the references, where they differ.", show_default=False)
]
OtherLabels = Annotated[
    str | None,
    typer.Option(help="Values that no target names: refuse the file, or take them as background.", show_default=False),
]
Resample = Annotated[
    bool, typer.Option("--resample", help="Bring predictions on another grid to the reference's, nearest voxel.")
]
Missing = Annotated[
    str | None,
    typer.Option(
        help="A missing prediction: report (left out, default) or empty (counts as empty).", show_default=False
    ),
]
Tolerance = Annotated[
    list[float] | None,
    typer.Option("--tolerance-mm", help="Of normalised surface Dice; may be repeated.", show_default="1, 2"),
]
Surface = Annotated[
    str | None, typer.Option(help="surfel (as surface-distance, default) or voxel (as MONAI).", show_default=False)
]
Hit = Annotated[
    str | None,
    typer.Option(help="A lesion is found by iou (default) or by the candidate's centre.", show_default=False),
]
LeastIou = Annotated[float | None, typer.Option(help="Least IoU of a found lesion.", show_default="0.15")]
Patients = Annotated[
    Path | None, typer.Option(help="CSV with the columns case and patient; else each case is its own patient.")
]
SplitFile = Annotated[
    Path | None,
    typer.Option("--split", help="Split file: only cases of one part are measured, the others are left out."),
]
Fold = Annotated[int | None, typer.Option(min=0, help="Of a split of folds, the one that is the test part.")]
PartName = Annotated[str, typer.Option("--part", help="Part of the split: test, validation or train.")]
AllowTrainingCases = Annotated[
    bool,
    typer.Option(
        "--allow-training-cases",
        help="Also measure cases that the model was trained on. They are known only for masks that `pancascade segment`"
        " wrote with weights that tell; of other masks nobody can tell: give --split.",
    ),
]
Workers = Annotated[int, typer.Option(min=0, help="Processes; 0 takes one for each CPU core.")]


def choose_protocol(
    name: str,
    *,
    labels: str | None,
    reference_labels: str | None,
    tolerance_mm: Sequence[float] | None,
    hit: str | None,
    least_iou: float | None,
    candidates: str | None = None,
    **others: Any,
) -> "Protocol":
    """The named protocol with what the options change.

    Raises:
        DataError: A name or value is not allowed.
    """
    from pydantic import ValidationError

    from pancascade.evaluation.protocol import Protocol, find_protocol, parse_labels
    from pancascade.io.documents import first_fault

    settings = find_protocol(name).model_dump()
    settings |= {key: value for key, value in others.items() if value not in (None, False)}
    if labels is not None:
        settings["labels"] = parse_labels(labels)
    if reference_labels is not None:
        settings["reference_labels"] = parse_labels(reference_labels)
    if tolerance_mm:
        settings["tolerances_mm"] = tuple(sorted(set(tolerance_mm)))
    lesions = {"hit": hit, "least_iou": least_iou, "candidates": candidates}
    settings["lesions"] |= {key: value for key, value in lesions.items() if value is not None}
    try:
        return Protocol.model_validate(settings)
    except ValidationError as error:
        first = error.errors()[0]
        fields = [part for part in first["loc"] if isinstance(part, str)]
        if not fields:  # settings that do not go together
            raise DataError(f"{first_fault(error)}. Check the options.") from error
        option = "--tolerance-mm" if fields[-1] == "tolerances_mm" else "--" + fields[-1].replace("_", "-")
        raise DataError(f"{option}: {first['msg']}, got {first['input']!r}.") from error


def find_scans(folder: Path | None) -> dict[str, Path]:
    """CT scan of each case, looked for before any long work.

    Raises:
        DataError: The folder is missing or holds none.
    """
    from pancascade.evaluation.pairing import find_masks

    return {} if folder is None else find_masks(folder)[0]


def choose_part(split: Path | None, *, fold: int | None, part: str) -> "SplitPart | None":
    """The part of a split whose cases are measured; None without a split.

    Raises:
        DataError: The split cannot be used, or has no such part.
    """
    if split is None:
        if fold is not None or part != "test":
            raise DataError("--fold and --part choose from a split. Give --split, too.")
        return None
    from pancascade.datasets import PARTS, read_split
    from pancascade.evaluation import SplitPart

    if part not in PARTS:
        raise DataError(f"--part {part}: known are {', '.join(PARTS)}.")
    return SplitPart(split, part, {str(name): members for name, members in read_split(split, fold=fold).items()})


def run(
    methods: "Sequence[Method]",
    reference: Path,
    *,
    protocol: "Protocol",
    patients: Path | None,
    workers: int,
    executor: "Executor | None" = None,
    part: "SplitPart | None" = None,
    allow_training_cases: bool = False,
) -> "list[Evaluation]":
    """Evaluate with a progress bar.

    Raises:
        DataError: Nothing could be compared.
    """
    from rich.progress import Progress

    from pancascade.cli.data_set_evaluation import are_of_data_set, run_on_data_set
    from pancascade.evaluation import evaluate
    from pancascade.evaluation.side_tables import read_patients

    choices: dict[str, Any] = {
        "part": part,
        "allow_training_cases": allow_training_cases,
        "workers": workers or available_cores(),
        "executor": executor,
    }
    with Progress(transient=True) as bars:
        task = bars.add_task("compare", total=None)
        choices["progress"] = lambda done, total: bars.update(task, completed=done, total=total)
        if are_of_data_set(methods, reference):
            evaluations = run_on_data_set(methods, reference, protocol=protocol, patients=patients, **choices)
        else:
            told = {} if patients is None else read_patients(patients)
            evaluations = evaluate(methods, reference, protocol=protocol, patients=told, **choices)
    for evaluation in evaluations:
        if not evaluation.cases:
            raise DataError(
                with_first_reason(f"{evaluation.method}: no case could be compared.", evaluation.failures[0].message)
            )
    return evaluations


def wide_console() -> "Console":
    """A console that does not fold tables where its output goes to a file."""
    from rich.console import Console

    console = Console(markup=False)
    return console if console.is_terminal else Console(width=200, markup=False)


def tell_failures(evaluations: "Sequence[Evaluation]", console: "Console") -> None:
    """Print who was left out, and each case without numbers and why; end with INCOMPLETE if there is one."""
    parts = evaluations[0].left_out
    for part in sorted(set(parts.values())):
        cases = [case for case, found in parts.items() if found == part]
        message = f"Left out by the split, {len(cases)} of {part}: {', '.join(cases)}"
        console.print(message, soft_wrap=True, highlight=False)
    failures = [(evaluation.method, failure) for evaluation in evaluations for failure in evaluation.failures]
    for method, failure in failures:
        message = f"No numbers for {failure.case} of {method}: {failure.message}"
        console.print(message, style="yellow", soft_wrap=True, highlight=False)
    if failures:
        raise typer.Exit(INCOMPLETE)


def spell(interval: "Interval") -> str:
    """A number with its interval, or a dash."""
    from pancascade.evaluation.tables import spell_interval

    return spell_interval(interval, digits=3)


def write(
    evaluations: "Sequence[Evaluation]",
    summaries: "Sequence[Summary]",
    detections: "Sequence[DetectionSummary | None]",
    out: Path,
    *,
    comparison: "Comparison | None",
    scans: dict[str, Path],
) -> None:
    """All files of an evaluation: tables of numbers, tables for papers, the report.

    Raises:
        OutputError: The folder cannot be written.
    """
    from pancascade.evaluation import write_results
    from pancascade.evaluation.tables import write_paper_tables
    from pancascade.io.file_names import match_names
    from pancascade.report.comparison import write_comparison

    cases = {case.case for evaluation in evaluations for case in evaluation.cases}
    write_results(evaluations, out, summaries=summaries, detections=detections, comparison=comparison)
    write_paper_tables(evaluations, summaries, out, comparison=comparison)
    write_comparison(
        out / "report.html",
        evaluations,
        summaries=summaries,
        detections=detections,
        comparison=comparison,
        scans=match_names(sorted(cases), scans),
    )
