"""Segment the scan of one job in another process; errors of the scan are returned, not raised."""

import time
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from pancascade.errors import MemoryShortageError, PancascadeError, ScanError
from pancascade.execution.memory_shortage import is_memory_shortage
from pancascade.execution.worker_process import send_to_parent
from pancascade.messages.names_only import DICOM_FOLDER
from pancascade.messages.quiet_log import quiet_log
from pancascade.segmentation.batch.batch_options import SegmentOptions
from pancascade.segmentation.batch.ledger import CodedSentence
from pancascade.services.server.job import JobProgress, JobSummary, State
from pancascade.services.server.job_folder import JobFolder
from pancascade.services.server.temporary_files import temporary_files_in

if TYPE_CHECKING:
    from pancascade.imaging.volume import Volume
    from pancascade.inference.runners.loading import LoadedModel
    from pancascade.messages.notices import Notice
    from pancascade.segmentation import Segmentation

_WORDS = {"locate": "searching for the pancreas", "segment": "marking pancreas and tumour"}


@dataclass(frozen=True)
class ScanTask:
    """A scan to segment.

    Attributes:
        folder: Folder of the job.
        upload: The uploaded scan, in that folder.
        name: Name in sentences and results.
        series: DICOM series to use; None chooses by rule.
        options: Options of the segmentation.
    """

    folder: Path
    upload: Path
    name: str
    series: str | None
    options: SegmentOptions


@dataclass(frozen=True)
class Outcome:
    """Result of the work on a scan.

    Attributes:
        state: ``done``, ``refused`` or ``failed``.
        seconds: Time of the work.
        reason: Why there is no result.
        summary: Summary of the result.
    """

    state: State
    seconds: float = 0.0
    reason: CodedSentence | None = None
    summary: JobSummary | None = None


def segment_upload(task: ScanTask) -> Outcome:
    """Segment a scan and write its results.

    Returns:
        The result; also for a scan that cannot be used, or an error.
    """
    began = time.perf_counter()
    state: State = "done"
    summary = reason = None
    # Readers log the names of files; here their warnings are only in the result.
    with quiet_log("pancascade"), temporary_files_in(JobFolder(task.folder).scratch):
        try:
            summary = _segment(task)
        except Exception as error:
            state = "refused" if isinstance(error, ScanError) else "failed"
            reason = _reason(error, task)
    return Outcome(state, round(time.perf_counter() - began, 2), reason, summary)


def _segment(task: ScanTask) -> JobSummary:
    from pancascade.imaging.io.scan import read_volume

    folder, options = JobFolder(task.folder), task.options
    send_to_parent(JobProgress(doing="reading the scan"))
    volume = read_volume(task.upload, series=task.series, keep_on_disk=options.max_memory_gb is not None)
    volume = _stored(volume, folder.scan)
    send_to_parent(JobProgress(doing="loading the model"))
    # Imported only now: a scan that cannot be read should not wait for torch and the model.
    from pancascade.segmentation import segment

    found = segment(
        volume,
        tta=options.tta,
        max_memory_gb=options.max_memory_gb,
        keep_doubtful=options.keep_doubtful,
        progress=_send_progress,
        loaded=_loaded(options.model, options.device, options.backend, options.pancreas_model),
    )
    found = replace(found, notices=tuple(_of_job(notice, task) for notice in found.notices))
    send_to_parent(JobProgress(doing="measuring and writing"))
    found.save(folder.result, save_probabilities=True, case=task.name)
    return _summary(found, folder.result)


def _stored(volume: "Volume", path: Path) -> "Volume":
    """Store the scan as NIfTI without information about the patient, and return it with the stored grid.

    NIfTI stores its grid in single precision: result and scan must not differ by that.
    """
    from pancascade.imaging.io import require_ct, write_volume

    require_ct(volume)  # a scan that is no CT is not stored
    write_volume(volume, path)
    return replace(volume, affine=volume.affine.astype(np.float32).astype(np.float64), source=path)


def _send_progress(what: str, done: int, total: int) -> None:
    send_to_parent(JobProgress(doing=_WORDS.get(what, what), done=done, total=total))


@lru_cache(maxsize=1)
def _loaded(model: tuple[str, ...], device: str, backend: str, pancreas_model: str | None) -> "list[LoadedModel]":
    """Load the models once; they are kept for the next scan of the same process."""
    from pancascade.inference.runners.loading import load_models

    return load_models(model, device, backend=backend, pancreas_model=pancreas_model)  # type: ignore[arg-type]


def _summary(found: "Segmentation", folder: Path) -> JobSummary:
    from pancascade.report.scan.result_numbers import organ_ml, tumour_ml
    from pancascade.results.result import read_result

    result = read_result(folder)
    return JobSummary(
        pancreas_ml=round(organ_ml(result), 2),
        lesions=len(result.pancreas_and_lesions.lesions),
        tumour_ml=round(tumour_ml(result), 2),
        tumour_score=result.tumour_score,
        warnings=tuple(
            CodedSentence(code=one.code, sentence=one.sentence) for one in found.notices if one.severity == "warning"
        ),
    )


def _of_job(notice: "Notice", task: ScanTask) -> "Notice":
    return notice.model_copy(update={"sentence": _named_by_job(notice.sentence, task)})


def _named_by_job(sentence: str, task: ScanTask) -> str:
    """Return a sentence with the job's name in place of the names that its files have on this server."""
    sentence = sentence.replace(DICOM_FOLDER, task.name)
    for name in (task.upload.name, JobFolder(task.folder).scan.name):
        sentence = sentence.replace(name, task.name)
    return sentence


def _reason(error: Exception, task: ScanTask) -> CodedSentence:
    """Return why there is no result; the scan is named by its job."""
    if isinstance(error, MemoryShortageError) or is_memory_shortage(error):
        sentence = f"{task.name}: there is not enough memory for this scan. Start the server with fewer --workers."
        return CodedSentence(code="memory_shortage", sentence=sentence)
    if isinstance(error, PancascadeError):
        sentence = _named_by_job(str(error), task)
        if not sentence.startswith(task.name):
            sentence = f"{task.name}: {sentence}"
        return CodedSentence(code=getattr(error, "code", "case_failed"), sentence=sentence)
    sentence = f"{task.name}: unexpected {type(error).__name__}. This is a fault of pancascade; report it."
    return CodedSentence(code="fault", sentence=sentence)
