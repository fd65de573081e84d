"""Segment one case in a worker process; errors of the case are returned, not raised."""

import time
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from pancascade.errors import MemoryShortageError, OutputError, PancascadeError, ScanError
from pancascade.execution.memory_shortage import is_memory_shortage
from pancascade.files.documents import shortened
from pancascade.messages.names_only import DICOM_FOLDER, names_only, public_name
from pancascade.messages.quiet_log import quiet_log
from pancascade.segmentation.batch.batch_options import BatchOptions
from pancascade.segmentation.batch.case_folder import written_case
from pancascade.segmentation.batch.ledger import CodedSentence, LedgerEntry, State
from pancascade.segmentation.batch.scan_input import ScanInput

if TYPE_CHECKING:
    from pancascade.imaging.volume import Volume
    from pancascade.inference.runners.loading import LoadedModel


@dataclass(frozen=True)
class CaseJob:
    """One case of a batch.

    Attributes:
        scan: The scan.
        out: Folder of all results.
        options: Options of the batch.
        nameless: Whether the results name the scan by its case instead of its file.
    """

    scan: ScanInput
    out: Path
    options: BatchOptions
    nameless: bool


class _ModelUnusableError(Exception):
    """No scan can be segmented with this model or device."""

    def __init__(self, reason: PancascadeError) -> None:
        super().__init__(str(reason))
        self.reason = reason


def do_case(job: CaseJob) -> LedgerEntry:
    """Segment a scan and write its folder.

    Returns:
        The line for the ledger, also for a scan that cannot be used or a case that fails.

    Raises:
        PancascadeError: An error that concerns every scan: the model, the device, or a full disk.
    """
    from pancascade.results.result import peak_memory_gb

    began = time.perf_counter()
    _forget_peak()
    # Warnings are in the results; printed by many processes they would break the progress display.
    with quiet_log("pancascade"):
        warnings: tuple[CodedSentence, ...] = ()
        state: State = "done"
        reason = None
        try:
            warnings = _segment(job)
        except _ModelUnusableError as error:
            raise error.reason from None
        except Exception as error:
            if _concerns_all(error):
                raise
            state = "refused" if isinstance(error, ScanError) else "failed"
            reason = _reason(error, job)
            if isinstance(error, ScanError):
                _write_refusal(error, reason, job)
    return LedgerEntry(
        case=job.scan.case,
        state=state,
        seconds=round(time.perf_counter() - began, 2),
        peak_memory_gb=peak_memory_gb(),
        warnings=warnings,
        reason=reason,
        input=job.scan.stamp,
    )


def _segment(job: CaseJob) -> tuple[CodedSentence, ...]:
    options = job.options
    _require_source(job)
    volume, series = _read(job)
    # Imported only now: a scan that cannot be read should not wait for torch and the model.
    from pancascade.segmentation import segment

    found = segment(
        volume,
        series=series,
        tta=options.tta,
        max_memory_gb=options.max_memory_gb,
        keep_doubtful=options.keep_doubtful,
        loaded=_loaded(options.model, options.device, options.backend, options.pancreas_model),
        pancreas=job.scan.pancreas,
        pancreas_label=job.scan.pancreas_label,
    )
    with written_case(job.out, job.scan.case) as folder:
        found.save(
            folder,
            formats=options.formats,
            save_probabilities=options.save_probabilities,
            keep_identifiers=options.keep_identifiers,
            case=job.scan.case if job.nameless else None,
            report=options.report,
            split_masks=options.split_masks,
            statistics=options.statistics,
        )
    return tuple(
        CodedSentence(code=one.code, sentence=one.sentence) for one in found.notices if one.severity == "warning"
    )


def load_batch_models(options: BatchOptions) -> None:
    """Load the models before the first case, to find out that they can be used.

    Raises:
        PancascadeError: They cannot be used.
    """
    try:
        _loaded(options.model, options.device, options.backend, options.pancreas_model)
    except _ModelUnusableError as error:
        raise error.reason from None


@lru_cache(maxsize=1)
def _loaded(model: tuple[str, ...], device: str, backend: str, pancreas_model: str | None) -> "list[LoadedModel]":
    """Load the models once; they are kept for the next case of the same process."""
    from pancascade.inference.runners.loading import load_models

    try:
        return load_models(model, device, backend=backend, pancreas_model=pancreas_model)  # type: ignore[arg-type]
    except PancascadeError as error:
        raise _ModelUnusableError(error) from error


def _require_source(job: CaseJob) -> None:
    """Refuse a scan that masks in DICOM cannot refer to."""
    if set(job.options.formats) == {"nifti"}:
        return
    from pancascade.imaging.io.dicom import source as dicom_source

    dicom_source.require_source(job.scan.path, kind=dicom_source.most_demanding(job.options.formats))


def _read(job: CaseJob) -> "tuple[Volume, str | None]":
    """Return the scan, and the series that a mask in DICOM must name."""
    from pancascade.imaging.io.dicom.dicom_files import looks_like_dicom
    from pancascade.imaging.io.scan import read_volume
    from pancascade.segmentation.batch.dicom_studies import read_study

    scan, on_disk = job.scan, job.options.max_memory_gb is not None
    if scan.study is not None:
        volume, uid = read_study(scan.path, scan.study, wanted=scan.series, keep_on_disk=on_disk)
        in_dicom = set(job.options.formats) != {"nifti"} or job.options.keep_identifiers
        return volume, uid if in_dicom else scan.series
    volume = read_volume(scan.path, series=scan.series, keep_on_disk=on_disk)
    if job.nameless and not looks_like_dicom(scan.path):
        volume = replace(volume, source=Path(scan.case))
    return volume, scan.series


def _concerns_all(error: Exception) -> bool:
    """Return whether an error concerns all scans: a full disk, or a folder without permission."""
    return isinstance(error, OutputError) and isinstance(error.__cause__, OSError)


def _reason(error: Exception, job: CaseJob) -> CodedSentence:
    """Return the reason for a missing result; without the scan's own names if these are not to be shown."""

    def reason(code: str, sentence: str) -> CodedSentence:
        return CodedSentence(code=code, sentence=_nameless(sentence, job) if job.nameless else sentence)

    if isinstance(error, ScanError):
        return reason(error.code, str(error))
    if isinstance(error, MemoryShortageError) or is_memory_shortage(error):
        return reason(
            "memory_shortage",
            f"{job.scan.case}: there is not enough memory for this scan. Use --resume with fewer --workers.",
        )
    if isinstance(error, PancascadeError):
        return reason("case_failed", str(error))
    what = f"{type(error).__name__}: {shortened(names_only(str(error)), 80)}"
    return reason("fault", f"{job.scan.case}: unexpected {what}. This is a fault of pancascade; report it.")


def _nameless(sentence: str, job: CaseJob) -> str:
    """Return a sentence that names the scan by its case."""
    case, name = job.scan.case, job.scan.path.name
    if job.scan.pancreas is not None:
        sentence = sentence.replace(job.scan.pancreas.name, f"{case}, its mask of the pancreas")
    sentence = sentence.replace(DICOM_FOLDER, case)
    if public_name(job.scan.path) == DICOM_FOLDER:  # its name may also be a word of the sentence, such as CT
        sentence = sentence.replace(f"{name}:", f"{case}:")
    elif name:
        sentence = sentence.replace(name, case)
    return sentence if sentence.startswith(case) else f"{case}: {sentence}"


def _write_refusal(error: ScanError, reason: CodedSentence, job: CaseJob) -> None:
    """Write why the scan was refused, beside the other results."""
    from pancascade.results.refusal import write_refusal

    scan = Path(job.scan.case) if job.nameless else job.scan.path
    # The refusal itself matters more than an error in writing its file.
    with suppress(OutputError), written_case(job.out, job.scan.case) as folder:
        write_refusal(type(error)(reason.sentence, code=reason.code), scan, folder)


def _forget_peak() -> None:
    """Reset the peak of the used memory, where the system allows it (Linux)."""
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")
