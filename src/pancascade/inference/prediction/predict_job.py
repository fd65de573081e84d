"""Read, predict and write a few cases in one process."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from io import BytesIO
from pathlib import Path
from time import perf_counter

import numpy as np
import torch
from numpy.typing import NDArray

from pancascade.data.readers import AxialSlice, Case
from pancascade.data.store.pictures import as_png
from pancascade.errors import DataError, PancascadeError
from pancascade.evaluation.prediction_set import (
    PredictedCase,
    slice_mask_name,
    slice_probability_name,
    volume_mask_name,
    volume_probability_name,
)
from pancascade.execution.memory_shortage import is_memory_shortage
from pancascade.files.atomic import written_whole
from pancascade.files.digests import content_digest
from pancascade.imaging.io import write_volume
from pancascade.imaging.io.nifti import write_nifti
from pancascade.imaging.postprocessing import decide
from pancascade.inference.backends.devices import find_device
from pancascade.inference.localization.region_probabilities import STEP
from pancascade.inference.prediction.scan_pass import read_for_pass, run_scan
from pancascade.inference.prediction.slice_pass import slice_probabilities
from pancascade.inference.runners.loading import Runner
from pancascade.inference.runners.slice_runner import SliceRunner
from pancascade.inference.runners.torch_runners import load_runner
from pancascade.messages.names_only import names_only


@dataclass(frozen=True)
class PredictJob:
    """Cases that are predicted together.

    Attributes:
        checkpoint: Weights.
        cases: One case with a whole scan, or several of single slices.
        out: Folder of the predictions.
        device: Where the networks run, ``cpu`` or ``cuda``.
        probabilities: Whether probability maps are written, too.
        threads: Threads of the process; None keeps torch's number.
    """

    checkpoint: Path
    cases: tuple[Case, ...]
    out: Path
    device: str
    probabilities: bool
    threads: int | None = None


@lru_cache(maxsize=1)
def cached_runner(checkpoint: Path, device: str) -> Runner:
    """Load the checkpoint's cascade, or return the one that this process loaded last."""
    return load_runner(checkpoint, find_device(device))


def do_job(job: PredictJob) -> list[PredictedCase]:
    """Predict the cases and return their results in order; a failed case does not stop the others."""
    if job.threads is not None:
        torch.set_num_threads(job.threads)
    runner = cached_runner(job.checkpoint, job.device)
    started = perf_counter()
    try:
        files = _predict(runner, job)
    except (PancascadeError, OSError, MemoryError, RuntimeError) as error:
        if len(job.cases) > 1:  # one by one, to find out which case fails
            return [found for case in job.cases for found in do_job(_of_one(job, case))]
        seconds = perf_counter() - started
        return [PredictedCase(case=job.cases[0].name, state="failed", seconds=seconds, message=_sentence(error))]
    seconds = round((perf_counter() - started) / len(job.cases), 3)
    return [PredictedCase(case=case.name, state="done", seconds=seconds, files=files[case.name]) for case in job.cases]


def _of_one(job: PredictJob, case: Case) -> PredictJob:
    return PredictJob(job.checkpoint, (case,), job.out, job.device, job.probabilities, job.threads)


def _sentence(error: BaseException) -> str:
    if isinstance(error, PancascadeError):
        return str(error)
    if is_memory_shortage(error):
        return "There is not enough memory for this case. Take fewer --workers."
    if isinstance(error, OSError):
        return names_only(f"A file could not be read or written ({error.strerror or error}).")
    raise error


def _predict(runner: Runner, job: PredictJob) -> dict[str, dict[str, str]]:
    """Write the predictions; return the digest of each file by case and path."""
    (first, *_) = job.cases
    if first.scan is not None:
        return {first.name: _predict_scan(runner, first, job)}
    if not isinstance(runner, SliceRunner):
        raise DataError(f"{first.name}: single slices, but {job.checkpoint.name} needs whole scans. Give volumes.")
    files: dict[str, dict[str, str]] = {case.name: {} for case in job.cases}
    for case, axial, found in slice_probabilities(runner, read_stacks(job.cases)):
        files[case] |= _write_slice(axial, found, job)
    return files


def read_stacks(cases: Sequence[Case]) -> Iterator[tuple[str, Sequence[AxialSlice]]]:
    """Yield the name and the slices of each case.

    Raises:
        DataError: A case has no slices.
    """
    for case in cases:
        slices = case.read_slices()
        if not slices:
            raise DataError(f"{case.name}: holds no slices.")
        yield case.name, slices


def _predict_scan(runner: Runner, case: Case, job: PredictJob) -> dict[str, str]:
    if case.scan is None:
        raise DataError(f"{case.name}: there is no whole scan.")
    scan = read_for_pass(case.scan)
    answer = run_scan(runner, scan, probabilities=job.probabilities)
    mask = volume_mask_name(case.name)
    write_volume(answer.mask, job.out / mask)
    names = [mask]
    for label, values in answer.probabilities.items():
        name = volume_probability_name(case.name, label)
        # Whole numbers with a slope: the many zeros compress well.
        steps = np.rint(values.voxels.astype(np.float32) / STEP).astype(np.uint16)
        write_nifti(values.with_voxels(steps), job.out / name, slope=STEP)
        names.append(name)
    return {name: content_digest(job.out / name) for name in names}


def _write_slice(axial: AxialSlice, found: NDArray[np.float32], job: PredictJob) -> dict[str, str]:
    """Write mask and probabilities on the pixels of the stored picture."""
    rows = slice(None, None, -1) if axial.flipped_rows else slice(None)
    labels = decide(found[None])[0][rows]
    content = {slice_mask_name(axial.name): as_png(np.ascontiguousarray(labels))}
    if job.probabilities:
        buffer = BytesIO()
        maps = np.ascontiguousarray(found[:, rows].astype(np.float16))
        np.savez_compressed(buffer, allow_pickle=False, labels=labels, probabilities=maps)
        content[slice_probability_name(axial.name)] = buffer.getvalue()
    for name, data in content.items():
        with written_whole(job.out / name) as temporary:
            temporary.write_bytes(data)
    return {name: content_digest(job.out / name) for name in content}


def fair_threads(workers: int, *, cores: int) -> int | None:
    """Return the threads for each of several processes; None for one process, or if OMP_NUM_THREADS is set."""
    if workers <= 1 or "OMP_NUM_THREADS" in os.environ:
        return None
    return max(1, cores // workers)
