"""Predict masks of many cases by one checkpoint: in batches, in several processes, resumable."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path

from pancascade.data.readers import Case
from pancascade.data.store.names import require_distinct_files
from pancascade.errors import CheckpointError, DataError, OutputError, PancascadeError, with_first_reason
from pancascade.evaluation.prediction_set import (
    NAME,
    PredictedCase,
    PredictionSet,
    PredictionSource,
    read_prediction_set,
    write_prediction_set,
)
from pancascade.execution.memory_shortage import is_memory_shortage, memory_shortage_reported
from pancascade.execution.parallel import available_cores, each_in_processes
from pancascade.files.atomic import clear_unfinished
from pancascade.files.digests import content_digest
from pancascade.files.documents import shortened
from pancascade.files.output_lock import lock_output
from pancascade.inference.prediction.predict_job import PredictJob, cached_runner, do_job, fair_threads
from pancascade.inference.runners.loading import Runner
from pancascade.inference.runners.slice_batches import BATCH_SLICES
from pancascade.inference.runners.torch_runners import torch_cascade_of

BEST = "best.safetensors"

_SUFFIXES = (".png", ".npz", ".nii.gz", ".json")
"""Of the files that are written."""

_WRITTEN_TIMES = 100
"""Largest number of times that the list of finished cases is written: writing a long list takes time."""


def predict_cases(
    checkpoint: Path,
    cases: Sequence[Case],
    out: Path,
    *,
    device: str = "cpu",
    probabilities: bool = False,
    workers: int = 1,
    resume: bool = False,
    on_done: Callable[[int, int], None] | None = None,
    source: PredictionSource | None = None,
) -> PredictionSet:
    """Predict cases exactly as the papers do, and write their masks.

    2-D cascades predict slice by slice: locate, box, crop, segment, paste, threshold at ½. Zhao et al. predict whole
    volumes: two boxes and a vote. No patient box, smoothing, search, component rule, calibration or other threshold.

    Args:
        checkpoint: A ``.safetensors`` file, or the folder of a training run (its best weights).
        cases: Cases with different names.
        out: Folder for ``CASE.nii.gz`` on each scan's own grid, or, for single slices, ``SLICE.png`` (values 0, 1, 2)
            on the pixels of the stored picture; and for ``predictions.json``.
        device: ``cpu`` or ``cuda``.
        probabilities: Also write probability maps, in ``probabilities``: ``LABEL/CASE.nii.gz`` or ``SLICE.npz``.
        workers: Number of processes. With more than one, a script needs ``if __name__ == "__main__":``.
        resume: Continue an earlier run of the same work in this folder.
        on_done: Called with the number of finished cases and the total.
        source: Origin of the cases, for ``predictions.json``.

    Returns:
        The written set. Cases that could not be read or predicted have the state ``failed``.

    Raises:
        CheckpointError: Weights are missing or damaged.
        DataError: There is no case, two cases have one name, or no case could be predicted.
        OutputError: The folder cannot be written, is in use, or holds other predictions.
        MemoryShortageError: There is too little memory for the networks.
    """
    weights = find_checkpoint(checkpoint)
    _require_distinct(cases)
    shortage = memory_shortage_reported("Predicting", advice="Take fewer --workers.")
    with shortage, lock_output(out, what="pancascade predict"):
        begun = _begin(weights, _loaded(weights, device), probabilities=probabilities, source=source)
        finished = _earlier(out, begun, resume=resume)
        jobs = _jobs(
            PredictJob(weights, (), out, device, probabilities, fair_threads(workers, cores=available_cores())),
            cases,
            finished=finished,
        )
        try:
            for done in _do(jobs, workers=workers, finished=finished):
                if done:
                    write_prediction_set(_with_cases(begun, cases, finished), out)
                if on_done is not None:
                    on_done(len(finished), len(cases))
        finally:
            found = _with_cases(begun, cases, finished)
            write_prediction_set(found, out)
            if not found.done:  # a folder without any finished case is no set of predictions
                (out / NAME).unlink(missing_ok=True)
        if not found.done:
            why = shortened(found.failed[0].message, 120)
            raise DataError(with_first_reason(f"{out.name}: no case could be predicted.", why))
    return found


def find_checkpoint(path: Path) -> Path:
    """Return the weights for a path: the ``.safetensors`` file itself, or the best weights of a training run's folder.

    Raises:
        CheckpointError: There are no such weights.
    """
    if path.is_dir():
        if not (path / BEST).is_file():
            raise CheckpointError(f"{path.name}: holds no {BEST}. Give the folder of a training run, or a checkpoint.")
        return path / BEST
    if path.suffix != ".safetensors" or not path.is_file():
        raise CheckpointError(f"{path.name}: no checkpoint. Give a .safetensors file or the folder of a training run.")
    return path


def _loaded(weights: Path, device: str) -> Runner:
    try:
        return cached_runner(weights, device)
    except (RuntimeError, AssertionError) as error:
        if is_memory_shortage(error):
            raise
        raise PancascadeError(f"Device {device!r} cannot be used ({str(error).splitlines()[0]}). Try cpu.") from error


def _require_distinct(cases: Sequence[Case]) -> None:
    if not cases:
        raise DataError("There is no case to predict.")
    require_distinct_files([case.name for case in cases])


def _begin(weights: Path, runner: Runner, *, probabilities: bool, source: PredictionSource | None) -> PredictionSet:
    return PredictionSet(
        state="running",
        checkpoint=weights.name,
        checkpoint_digest=content_digest(weights),
        labels={str(int(label)): label.title for label in runner.cascade.labels},
        probabilities=probabilities,
        backend=f"torch f32, {torch_cascade_of(runner).device.type}",
        source=source or PredictionSource(),
        trained_on=runner.trained_on,
        versions={name: version(name) for name in ("pancascade", "torch", "numpy", "nibabel")},
    )


def _earlier(out: Path, begun: PredictionSet, *, resume: bool) -> dict[str, PredictedCase]:
    """Return the cases that an earlier run of the same work has finished, by name.

    Raises:
        OutputError: The folder holds something else, or predictions that this run may not continue.
    """
    if not (out / NAME).is_file():
        if any(not path.name.startswith(".") for path in out.iterdir()):
            raise OutputError(f"{out}: is not empty and holds no {NAME}. Choose another --out folder.")
        return {}
    if not resume:
        raise OutputError(f"{out}: holds predictions already. Continue with --resume, or choose another --out folder.")
    before = read_prediction_set(out)
    other = begun.same_work(before)
    if other is not None:
        raise OutputError(f"{out}: holds predictions of other {other}. Choose another --out folder.")
    clear_unfinished(out, suffixes=_SUFFIXES)
    kept = {}
    for case in before.done:
        digests = {name: content_digest(out / name) for name in case.files if (out / name).is_file()}
        edited = [name for name, digest in digests.items() if digest != case.files[name]]
        if edited:
            raise OutputError(f"{out}: {edited[0]} was changed since it was written. Move it away, or restore it.")
        if digests.keys() == case.files.keys():
            kept[case.case] = case
    return kept


def _jobs(pattern: PredictJob, cases: Sequence[Case], *, finished: Mapping[str, PredictedCase]) -> list[PredictJob]:
    """Return one job a scan, and one a fixed batch of slices, so that a resumed run gives the same masks."""
    together: list[list[Case]] = []
    for case in cases:
        alone = case.scan is not None or not together or together[-1][0].scan is not None
        if alone or len(together[-1]) == BATCH_SLICES:
            together.append([])
        together[-1].append(case)
    return [
        PredictJob(pattern.checkpoint, tuple(some), pattern.out, pattern.device, pattern.probabilities, pattern.threads)
        for some in together
        if not all(case.name in finished for case in some)
    ]


def _do(jobs: Sequence[PredictJob], *, workers: int, finished: dict[str, PredictedCase]) -> Iterator[bool]:
    """Run the jobs and fill in `finished`. Yields, before the first job and after each, whether to write the list."""
    every = max(1, len(jobs) // _WRITTEN_TIMES)
    owner = {name: case.case for case in finished.values() for name in case.files}
    yield True
    for number, (job, found) in enumerate(each_in_processes(do_job, jobs, workers=workers), start=1):
        for case in found if found is not None else _died(job):
            finished[case.case] = case
            for name in case.files:
                other = owner.setdefault(name, case.case)
                if other != case.case:  # the files of one case have replaced those of the other
                    finished |= {one: _clashing(finished[one], name) for one in (other, case.case)}
        yield number % every == 0


def _died(job: PredictJob) -> list[PredictedCase]:
    message = "The process that worked on this case died, probably out of memory."
    return [PredictedCase(case=case.name, state="failed", seconds=0, message=message) for case in job.cases]


def _clashing(case: PredictedCase, name: str) -> PredictedCase:
    message = f"{name} is also the file of another case: two slices have one name. Rename one."
    return case.model_copy(update={"state": "failed", "files": {}, "message": message})


def _with_cases(begun: PredictionSet, cases: Sequence[Case], finished: Mapping[str, PredictedCase]) -> PredictionSet:
    listed = tuple(finished[case.name] for case in cases if case.name in finished)
    return begun.model_copy(update={"state": "finished" if len(listed) == len(cases) else "running", "cases": listed})
