"""``pancascade segment``: segment a scan; write mask, pictures, report and numbers."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pancascade.cli import dicomweb_scan as dicomweb
from pancascade.cli import segment_options as options
from pancascade.cli.additions_options import AdditionsOptions
from pancascade.cli.out_folder import locked_output, refusals_filed, require_unedited, require_unused
from pancascade.cli.printed_result import print_result
from pancascade.errors import OutputError
from pancascade.execution.interrupts import interrupt_held_back
from pancascade.files.atomic import clear_drafts

if TYPE_CHECKING:
    from pancascade.imaging.volume import Volume
    from pancascade.inference.models.additions import Additions
    from pancascade.inference.pipeline.pancreas_mask import PancreasMask
    from pancascade.segmentation import Segmentation


def segment(
    scan: Annotated[
        Path,
        typer.Argument(
            help="CT scan: .nii, .nii.gz; a folder or .zip of DICOM files; dicomweb:URL with --study; with the extra "
            "[itk] .nrrd, .mha."
        ),
    ],
    out: Annotated[Path | None, typer.Option(help="Folder for the results; made if it is missing.")] = None,
    model: options.Model = None,
    device: options.Device = "cpu",
    format_: options.Formats = None,
    *,
    files: options.WrittenFiles,
    vessels: Annotated[
        list[str] | None,
        typer.Option(
            help="Mask of a vessel on the scan's grid, to measure lesions against: NAME=FILE, or NAME=FILE:VALUE "
            "for one value of a label map. May be given several times."
        ),
    ] = None,
    pancreas_model: options.PancreasModel = None,
    pancreas: options.Pancreas = None,
    pancreas_label: options.PancreasLabel = None,
    series: options.SeriesChoice = None,
    list_series: Annotated[bool, typer.Option("--list-series", help="Only list the DICOM series in SCAN.")] = False,
    tta: options.Tta = False,
    backend: options.BackendChoice = options.Backend.AUTO,
    max_memory: options.MaxMemory = None,
    keep_doubtful: options.KeepDoubtful = False,
    switched_off: AdditionsOptions,
    keep_identifiers: options.KeepIdentifiers = False,
    study: dicomweb.Study = None,
    store: dicomweb.Store = False,
    token: dicomweb.Token = None,
) -> None:
    """Find pancreas and tumour in a CT scan; write mask, overview.png, report.html and result.json."""
    if list_series:
        _list_series(scan)
        return
    formats = options.format_names(format_, store=store)
    with dicomweb.places(scan, out, formats=formats, study=study, series=series, store=store, token=token) as at:
        with locked_output(at.out, what="segment"):
            require_place(at.out, at.scan)
            masks = read_masks(vessels or [])
            if pancreas is not None and pancreas_model is not None:
                raise OutputError("--pancreas and --pancreas-model: both give the pancreas. Use one of them.")
            organ = read_pancreas(pancreas, pancreas_label or [])
            with refusals_filed(at.out, scan=at.scan):
                require_source(at.scan, formats, series=series)
                looked_at = bool(masks) or organ is not None
                volume = _read(at.scan, series=series, keep_on_disk=max_memory is not None) if looked_at else None
            require_grid(masks, volume)
            require_place_of(organ, volume)
            with refusals_filed(at.out, scan=at.scan):
                found = _find(
                    volume or at.scan,
                    model=model or [options.DEFAULT_MODEL],
                    device=device,
                    series=series,
                    tta=tta,
                    backend=backend,
                    max_memory_gb=max_memory,
                    keep_doubtful=keep_doubtful,
                    pancreas=organ,
                    pancreas_model=pancreas_model,
                    additions=switched_off.chosen(),
                    report=not files.no_report,
                )
            found.save(
                at.out,
                formats=formats,
                save_probabilities=files.save_probabilities,
                vessels=masks,
                keep_identifiers=keep_identifiers,
                report=not files.no_report,
                split_masks=files.split_masks,
                statistics=files.statistics,
            )
            at.deliver()
        print_result(found, at.out if at.kept else None)


def require_place(out: Path, scan: Path) -> None:
    """Refuse a folder where results would replace the scan, an edited mask or other files.

    Args:
        out: The folder, locked. Drafts of killed runs in it are removed.
        scan: The scan that is read.

    Raises:
        OutputError: The folder is refused.
    """
    with interrupt_held_back():
        from pancascade.results.structures import MASKS as STRUCTURES
        from pancascade.segmentation.saving import FILES, MASKS

    require_unused(out, FILES, scan=scan)
    require_unedited(out, [*MASKS.values(), *STRUCTURES])
    clear_drafts(out)


def require_source(scan: Path, formats: list[str], *, series: str | None) -> None:
    """Refuse a scan that masks in DICOM cannot refer to.

    Raises:
        OutputError: The scan is refused, or the library for DICOM-SEG is not installed.
        ScanError: There is no series to refer to.
    """
    if set(formats) == {"nifti"}:
        return
    from pancascade.imaging.io.dicom import source as dicom_source

    dicom_source.require_source(scan, kind=dicom_source.most_demanding(formats))
    dicom_source.require_references(dicom_source.find_source(scan, series=series))


def read_masks(vessels: list[str]) -> "dict[str, Volume]":
    """Read the masks of `--vessels`.

    Raises:
        ScanError: A mask cannot be used.
    """
    from pancascade.imaging.io.vessel_masks import read_vessels

    return read_vessels(vessels)


def read_pancreas(pancreas: Path | None, labels: list[str]) -> "PancreasMask | None":
    """Read the mask of `--pancreas`, if it is given.

    Raises:
        ScanError: It cannot be used.
        OutputError: Labels are given without a mask.
    """
    if pancreas is None:
        if labels:
            raise OutputError("--pancreas-label: selects labels of a label map. Give the map with --pancreas.")
        return None
    from pancascade.inference.pipeline.pancreas_mask import read_pancreas_mask

    return read_pancreas_mask(pancreas, labels=labels)


def require_place_of(organ: "PancreasMask | None", scan: "Volume | None") -> None:
    """Refuse a mask of the pancreas that does not cover the scan's space.

    Raises:
        ScanError: The mask is refused.
    """
    if organ is not None and scan is not None:
        from pancascade.imaging.volume import reorient
        from pancascade.inference.pipeline.pancreas_mask import place_pancreas

        place_pancreas(organ, reorient(scan, "LPS"))


def _read(scan: Path, *, series: str | None, keep_on_disk: bool) -> "Volume":
    """Read the scan, if its grid is needed before the segmentation."""
    from pancascade.imaging.io import read_volume

    return read_volume(scan, series=series, keep_on_disk=keep_on_disk)


def require_grid(masks: "dict[str, Volume]", scan: "Volume | None") -> None:
    """Refuse masks of vessels on another grid than the scan's.

    Raises:
        GeometryError: A mask is on another grid.
    """
    if scan is not None:
        from pancascade.imaging.io import vessel_masks

        vessel_masks.require_grid(masks, scan=scan)


def _find(
    scan: "Path | Volume",
    *,
    model: list[str],
    device: str,
    series: str | None,
    tta: bool,
    backend: options.Backend,
    max_memory_gb: float | None,
    keep_doubtful: bool,
    pancreas: "PancreasMask | None",
    pancreas_model: str | None,
    additions: "Additions",
    report: bool,
) -> "Segmentation":
    """`pancascade.segment`, with a bar that shows how far it is."""
    from pancascade.cli.early_report import with_report_imported
    from pancascade.cli.progress import shown_progress
    from pancascade.segmentation import segment as run

    with shown_progress("read") as show:
        return run(
            scan,
            model=model,
            device=device,
            series=series,
            tta=tta,
            backend=backend.value,
            max_memory_gb=max_memory_gb,
            keep_doubtful=keep_doubtful,
            progress=with_report_imported(lambda what, done, total: show(done, total, what=what), when=report),
            additions=additions,
            pancreas=pancreas,
            pancreas_model=pancreas_model,
        )


def _list_series(scan: Path) -> None:
    from pancascade.errors import PacsError, UnreadableError
    from pancascade.imaging.io import find_series

    if dicomweb.is_remote(scan):
        raise PacsError(
            "--list-series works on files and folders only. Leave it out: the series is then chosen by rule."
        )
    found = find_series(scan)
    if not found:
        raise UnreadableError(f"{scan}: there is no DICOM series here.")
    for each in found:
        typer.echo(f'{each} "{each.description}"  {each.uid}')
