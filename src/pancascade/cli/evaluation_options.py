"""Options and output shared by ``evaluate`` and ``compare``."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pancascade.cli.exit_codes import INCOMPLETE
from pancascade.errors import DataError
from pancascade.execution.parallel import available_cores

if TYPE_CHECKING:
    from rich.console import Console

    from pancascade.evaluation import Evaluation, Protocol, SplitPart
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
    typer.Option(help="Label values of each target, such as pancreas=1+2,tumour=2 (the default).", show_default=False),
]
ReferenceLabels = Annotated[
    str | None, typer.Option(help="The same for the references, if they differ.", show_default=False)
]
OtherLabels = Annotated[
    str | None,
    typer.Option(help="Label values of no target: refuse the file, or take them as background.", show_default=False),
]
Resample = Annotated[
    bool, typer.Option("--resample", help="Resample predictions on another grid to the reference's, nearest voxel.")
]
Missing = Annotated[
    str | None,
    typer.Option(
        help="A missing prediction: report (left out, default) or empty (counts as empty).", show_default=False
    ),
]
Tolerance = Annotated[
    list[float] | None,
    typer.Option("--tolerance-mm", help="Tolerance of normalised surface Dice; may be repeated.", show_default="1, 2"),
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
    Path | None, typer.Option(help="CSV file with the columns case and patient; else each case is its own patient.")
]
SplitFile = Annotated[
    Path | None,
    typer.Option("--split", help="Split file: measure only the cases of one part."),
]
Fold = Annotated[int | None, typer.Option(min=0, help="For a split with folds: the fold that is the test part.")]
PartName = Annotated[str, typer.Option("--part", help="Part of the split: test, validation or train.")]
AllowTrainingCases = Annotated[
    bool,
    typer.Option(
        "--allow-training-cases",
        help="Also measure cases of the model's training data. They are known only for masks that `pancascade segment`"
        " wrote with weights that record them; for other masks give --split.",
    ),
]
Workers = Annotated[int, typer.Option(min=0, help="Number of processes; 0 takes one for each CPU core.")]


Scans = Annotated[Path | None, typer.Option(help="Folder of the CT scans, for the report's pictures.")]


@dataclass(frozen=True)
class EvaluationOptions:
    """Options shared by `evaluate` and `compare`; each field is an option of both."""

    protocol: ProtocolName = "default"
    labels: Labels = None
    reference_labels: ReferenceLabels = None
    other_labels: OtherLabels = None
    resample: Resample = False
    missing: Missing = None
    tolerance_mm: Tolerance = None
    surface: Surface = None
    hit: Hit = None
    least_iou: LeastIou = None
    patients: Patients = None
    split: SplitFile = None
    fold: Fold = None
    part: PartName = "test"
    allow_training_cases: AllowTrainingCases = False
    scans: Scans = None
    workers: Workers = 0

    def choices(self, *, candidates: str | None = None) -> dict[str, Any]:
        """What `pancascade.report.comparison.evaluate_methods.evaluate_methods` takes, all tried before any long work.

        Args:
            candidates: Lesion candidates; see `LesionRule`.

        Raises:
            DataError: An option cannot be used.
        """
        return {
            "protocol": self._protocol(candidates),
            "scans": find_scans(self.scans),
            "part": choose_part(self.split, fold=self.fold, part=self.part),
            "patients": self.patients,
            "allow_training_cases": self.allow_training_cases,
            "workers": self.workers or available_cores(),
        }

    def _protocol(self, candidates: str | None) -> "Protocol":
        return choose_protocol(
            self.protocol,
            labels=self.labels,
            reference_labels=self.reference_labels,
            other_labels=self.other_labels,
            resample=self.resample,
            missing=self.missing,
            tolerance_mm=self.tolerance_mm,
            surface=self.surface,
            hit=self.hit,
            least_iou=self.least_iou,
            candidates=candidates,
        )


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
    """Return the named protocol with the changes of the options.

    Raises:
        DataError: A name or value is not allowed.
    """
    from pydantic import ValidationError

    from pancascade.evaluation.protocol import Protocol, find_protocol
    from pancascade.evaluation.target_labels import parse_labels
    from pancascade.files.documents import first_fault

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
        if not fields:  # settings that do not fit together
            raise DataError(f"{first_fault(error)}. Check the options.") from error
        option = "--tolerance-mm" if fields[-1] == "tolerances_mm" else "--" + fields[-1].replace("_", "-")
        raise DataError(f"{option}: {first['msg']}, got {first['input']!r}.") from error


def find_scans(folder: Path | None) -> dict[str, Path]:
    """Return the CT scan of each case.

    Raises:
        DataError: The folder is missing or holds no scan.
    """
    from pancascade.evaluation.pairing import find_masks

    return {} if folder is None else find_masks(folder)[0]


def choose_part(split: Path | None, *, fold: int | None, part: str) -> "SplitPart | None":
    """Return the part of a split whose cases are measured; None without a split.

    Raises:
        DataError: The split cannot be used, or has no such part.
    """
    if split is None:
        if fold is not None or part != "test":
            raise DataError("--fold and --part select from a split. Give --split, too.")
        return None
    from pancascade.data.splits.splits import PARTS, read_split
    from pancascade.evaluation import SplitPart

    if part not in PARTS:
        raise DataError(f"--part {part}: known are {', '.join(PARTS)}.")
    return SplitPart(split, part, {str(name): members for name, members in read_split(split, fold=fold).items()})


def wide_console() -> "Console":
    """Return a console that does not wrap tables if its output goes to a file."""
    from rich.console import Console

    console = Console(markup=False)
    return console if console.is_terminal else Console(width=200, markup=False)


def print_failures(evaluations: "Sequence[Evaluation]", console: "Console") -> None:
    """Print the cases that were left out, and each case without numbers with its reason; then exit with INCOMPLETE."""
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
    """Return a number with its interval, or a dash."""
    from pancascade.evaluation.tables import spell_interval

    return spell_interval(interval, digits=3)
