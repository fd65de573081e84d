"""``pancascade segment``: a scan in; mask, pictures, report and numbers out."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pancascade.cli import additions_options as additions
from pancascade.cli import dicomweb_scan as dicomweb
from pancascade.cli import segment_options as options
from pancascade.cli.out_folder import locked_output, refusals_filed, require_unedited, require_unused
from pancascade.cli.result_told import tell_result
from pancascade.errors import OutputError
from pancascade.execution.interrupts import interrupt_held_back
from pancascade.files.atomic import clear_drafts

if TYPE_CHECKING:
    from pancascade.imaging.volume import Volume
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
    save_probabilities: options.SaveProbabilities = False,
    no_report: options.NoReport = False,
    split_masks: options.SplitMasks = False,
    statistics: options.Statistics = False,
    vessels: Annotated[
        list[str] | None,
        typer.Option(
            help="Mask of a vessel on the scan's grid, to which lesions are measured: NAME=FILE, or NAME=FILE:VALUE "
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
    no_smoothing: additions.NoSmoothing = False,
    no_fallback_search: additions.NoFallbackSearch = False,
    no_component_rules: additions.NoComponentRules = False,
    no_body_box: additions.NoBodyBox = False,
    no_search_range: additions.NoSearchRange = False,
    no_calibration: additions.NoCalibration = False,
    no_tuned_thresholds: additions.NoTunedThresholds = False,
    no_tumour_score: additions.NoTumourScore = False,
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
                raise OutputError("--pancreas and --pancreas-model: both tell the pancreas. Give one of them.")
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
                    backend=backend.value,
                    max_memory_gb=max_memory,
                    keep_doubtful=keep_doubtful,
                    pancreas=organ,
                    pancreas_model=pancreas_model,
                    additions=additions.chosen_additions(
                        smoothing=no_smoothing,
                        fallback_search=no_fallback_search,
                        component_rules=no_component_rules,
                        body_box=no_body_box,
                        search_range=no_search_range,
                        calibration=no_calibration,
                        tuned_thresholds=no_tuned_thresholds,
                        tumour_score=no_tumour_score,
                    ),
                )
            found.save(
                at.out,
                formats=formats,
                save_probabilities=save_probabilities,
                vessels=masks,
                keep_identifiers=keep_identifiers,
                report=not no_report,
                split_masks=split_masks,
                statistics=statistics,
            )
            at.deliver()
        tell_result(found, at.out if at.kept else None)


def require_place(out: Path, scan: Path) -> None:
    """Refuse a folder where results would replace the scan, an edited mask or somebody else's files.

    Args:
        out: The folder, held. What killed runs left there goes.
        scan: That is read.

    Raises:
        OutputError: It is one.
    """
    with interrupt_held_back():
        from pancascade.results.structures import MASKS as STRUCTURES
        from pancascade.segmentation.segmentation import FILES, MASKS

    require_unused(out, FILES, scan=scan)
    require_unedited(out, [*MASKS.values(), *STRUCTURES])
    clear_drafts(out)


def require_source(scan: Path, formats: list[str], *, series: str | None) -> None:
    """Refuse, before any long work, a scan that masks in DICOM cannot refer to.

    Raises:
        OutputError: It is one, or what writes DICOM-SEG is not installed.
        ScanError: There is no series to refer to.
    """
    if set(formats) == {"nifti"}:
        return
    from pancascade.imaging.io.dicom import source as dicom_source

    dicom_source.require_source(scan, kind=dicom_source.most_demanding(formats))
    dicom_source.require_references(dicom_source.find_source(scan, series=series))


def read_masks(vessels: list[str]) -> "dict[str, Volume]":
    """The masks of `--vessels`.

    Raises:
        ScanError: One cannot be used.
    """
    from pancascade.imaging.io.vessel_masks import read_vessels

    return read_vessels(vessels)


def read_pancreas(pancreas: Path | None, labels: list[str]) -> "PancreasMask | None":
    """The mask of `--pancreas`, if it is given.

    Raises:
        ScanError: It cannot be used.
        OutputError: Labels are given, and no mask.
    """
    if pancreas is None:
        if labels:
            raise OutputError("--pancreas-label: tells the pancreas in a label map. Give that with --pancreas.")
        return None
    from pancascade.inference.pipeline.pancreas_mask import read_pancreas_mask

    return read_pancreas_mask(pancreas, labels=labels)


def require_place_of(organ: "PancreasMask | None", scan: "Volume | None") -> None:
    """Refuse a mask of the pancreas that does not lie where the scan is, before any long work.

    Raises:
        ScanError: It does not.
    """
    if organ is not None and scan is not None:
        from pancascade.imaging.volume import reorient
        from pancascade.inference.pipeline.pancreas_mask import place_pancreas

        place_pancreas(organ, reorient(scan, "LPS"))


def _read(scan: Path, *, series: str | None, keep_on_disk: bool) -> "Volume":
    """The scan, where its grid must be looked at first."""
    from pancascade.imaging.io import read_volume

    return read_volume(scan, series=series, keep_on_disk=keep_on_disk)


def require_grid(masks: "dict[str, Volume]", scan: "Volume | None") -> None:
    """Refuse masks of vessels on another grid than the scan's.

    Raises:
        GeometryError: One is.
    """
    if scan is not None:
        from pancascade.imaging.io import vessel_masks

        vessel_masks.require_grid(masks, scan=scan)


def _find(scan: "Path | Volume", **choices: Any) -> "Segmentation":
    from pancascade.cli.progress import shown_progress
    from pancascade.segmentation import segment as run

    with shown_progress("read") as show:
        return run(scan, progress=lambda what, done, total: show(done, total, what=what), **choices)


def _list_series(scan: Path) -> None:
    from pancascade.errors import PacsError, UnreadableError
    from pancascade.imaging.io import find_series

    if dicomweb.is_remote(scan):
        raise PacsError("--list-series looks into a folder. Leave it out: without --series the rule chooses.")
    found = find_series(scan)
    if not found:
        raise UnreadableError(f"{scan}: there is no DICOM series here.")
    for each in found:
        typer.echo(f'{each} "{each.description}"  {each.uid}')
