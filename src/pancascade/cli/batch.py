"""``pancascade batch``: segment many scans; write a folder for each, a ledger, and one page of all."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from pancascade.cli import executor_options, segment_options
from pancascade.cli.batch_progress import BatchProgress
from pancascade.cli.exit_codes import INCOMPLETE
from pancascade.errors import DataError, OutputError

if TYPE_CHECKING:
    from pancascade.segmentation.batch.batch_options import BatchOptions


def batch(
    inputs: Annotated[
        list[Path],
        typer.Argument(
            help="Scans as for `segment`; folders of such files or of DICOM studies; CSV lists with the column image.",
            metavar="INPUTS...",
            show_default=False,
        ),
    ],
    out: Annotated[Path, typer.Option(help="Folder for the results; made if it is missing.", show_default=False)],
    resume: Annotated[
        bool, typer.Option("--resume", help="Continue an interrupted batch; finished cases are not repeated.")
    ] = False,
    names: Annotated[
        Literal["digest", "order", "file"],
        typer.Option(help="Names of cases: a digest, their number, or their file or folder."),
    ] = "digest",
    mapping: Annotated[
        Path | None, typer.Option(help="CSV file to write with the case and file of each input; it names files.")
    ] = None,
    workers: executor_options.Workers = 0,
    engine: executor_options.Where = executor_options.ExecutorKind.PROCESSES,
    address: executor_options.Address = None,
    model: segment_options.Model = None,
    device: segment_options.Device = "cpu",
    format_: segment_options.Formats = None,
    *,
    files: segment_options.WrittenFiles,
    flat: Annotated[
        Path | None,
        typer.Option(
            help="Also copy every mask to this folder as CASE.nii.gz, as leaderboards require; --names file keeps the "
            "names of the scans."
        ),
    ] = None,
    pancreas_model: segment_options.PancreasModel = None,
    series: segment_options.SeriesChoice = None,
    tta: segment_options.Tta = False,
    backend: Annotated[
        segment_options.Backend, typer.Option("--backend", help="Backend that runs the networks.")
    ] = segment_options.Backend.AUTO,
    max_memory: segment_options.MaxMemory = None,
    keep_doubtful: segment_options.KeepDoubtful = False,
    keep_identifiers: segment_options.KeepIdentifiers = False,
) -> None:
    """Segment many scans, several at a time; a scan that fails is recorded in the ledger and does not end the run.

    Exit code 0: all are done; 1: a scan was refused or a case failed; 2: the batch could not run.
    """
    from pancascade.segmentation.batch.batch_run import run_batch
    from pancascade.segmentation.batch.flat_masks import FlatMasks
    from pancascade.segmentation.batch.inputs import find_inputs, write_mapping
    from pancascade.segmentation.batch.model_check import require_models

    options = _options(
        model=tuple(model or [segment_options.DEFAULT_MODEL]),
        pancreas_model=pancreas_model,
        device=device,
        tta=tta,
        backend=backend.value,
        max_memory_gb=max_memory,
        keep_doubtful=keep_doubtful,
        formats=tuple(segment_options.format_names(format_)),
        save_probabilities=files.save_probabilities,
        keep_identifiers=keep_identifiers,
        report=not files.no_report,
        split_masks=files.split_masks,
        statistics=files.statistics,
    )
    executor = executor_options.choose_executor(engine, workers=workers, address=address, device=device)
    _require_extra(options.formats)
    # The nodes of a cluster may have devices that this machine has not.
    require_models(options if engine is executor_options.ExecutorKind.PROCESSES else options.on_cpu())
    with BatchProgress(out) as shown:
        scans = find_inputs(inputs, names=names, out=out, series=series)
        read = [path for scan in scans for path in (scan.path, scan.pancreas) if path is not None]
        if mapping is not None:
            _require_elsewhere(mapping, read)
        flat_masks = None if flat is None else FlatMasks(flat, out, formats=options.formats, read=read, searched=inputs)
        if mapping is not None:
            write_mapping(mapping, scans)
        run = run_batch(scans, out, options=options, names=names, resume=resume, executor=executor, begun=shown.begin)
        for case in run:
            shown.finished(case)
        if flat_masks is not None:
            flat_masks.copy(scan.case for scan in scans)
    if shown.unfinished:
        raise typer.Exit(INCOMPLETE)


def _options(**choices: object) -> "BatchOptions":
    from pydantic import ValidationError

    from pancascade.files.documents import first_fault
    from pancascade.segmentation.batch.batch_options import BatchOptions

    try:
        return BatchOptions.model_validate(choices)
    except ValidationError as error:
        raise DataError(f"{first_fault(error)}. Check the options.") from error


def _require_extra(formats: Sequence[str]) -> None:
    """Refuse formats that would fail with every scan."""
    from importlib.util import find_spec

    if {"dicom-seg", "dicom-sr"} & set(formats) and find_spec("highdicom") is None:
        raise OutputError(
            'Writing DICOM-SEG or SR needs highdicom. Install it with `pip install "pancascade[dicom]"`, or choose '
            "another --format."
        )


def _require_elsewhere(mapping: Path, scans: Sequence[Path]) -> None:
    if mapping.absolute() in scans:
        raise OutputError(f"--mapping {mapping}: is one of the scans. Choose another name.")
