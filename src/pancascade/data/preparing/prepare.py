"""Preparation of a training store from a data set: in parallel, resumable.

A store is a folder. ``manifest.json`` describes it, ``index.parquet`` and ``cases.parquet`` list its content. Voxels
are in ``arrays``, or in ``images`` and ``masks``. ``records`` lets a second run do only the missing cases.
"""

import csv
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from pancascade.data.preparing.expected_counts import published_counts
from pancascade.data.preparing.prepare_case import CaseOutcome, PrepareJob, prepare_case
from pancascade.data.preparing.store_folder import claim, sweep
from pancascade.data.readers import Case
from pancascade.data.store.extra import load_extra
from pancascade.data.store.index import write_index
from pancascade.data.store.manifest import (
    MANIFEST,
    CaseFailure,
    CaseFiles,
    Manifest,
    StoreCounts,
    is_store,
    write_manifest,
)
from pancascade.data.store.names import PICTURE_INDEX, require_distinct_files
from pancascade.data.store.options import PrepareOptions
from pancascade.data.store.prepared_case import FileDigest, PreparedCase
from pancascade.errors import DataError, with_first_reason
from pancascade.execution import Executor, each_job
from pancascade.execution.memory_shortage import memory_shortage_reported
from pancascade.files.atomic import written_whole
from pancascade.files.digests import content_digest
from pancascade.files.output_lock import lock_output

Progress = Callable[[int, int], None]
"""Called with the number of finished cases and of all cases."""

_LIBRARIES = ("pancascade", "numpy", "blosc2", "pyarrow", "pillow")


@dataclass(frozen=True)
class Preparation:
    """Result of a run.

    Attributes:
        manifest: Manifest of the finished store.
        anew: Number of cases written in this run; the others existed.
        removed: Cases of an earlier run that the data set no longer has; they were removed.
    """

    manifest: Manifest
    anew: int
    removed: tuple[str, ...]


def prepare(
    cases: Sequence[Case],
    out: Path,
    *,
    options: PrepareOptions | None = None,
    workers: int = 1,
    executor: Executor | None = None,
    progress: Progress | None = None,
) -> Preparation:
    """Create a store of a data set, or complete an unfinished one.

    The same call completes an interrupted or killed run; cases with unchanged files are not repeated. The same data set
    and options give the same files.

    Args:
        cases: Cases of one or several data sets.
        out: Folder of the store: new, empty, or a store of the same data sets and options.
        options: Options; None uses the defaults.
        workers: Number of processes. With more than one, a script needs the usual ``if __name__ == "__main__":``.
        executor: Executor of the work; None uses processes of this machine.
        progress: Called after each case.

    Raises:
        DataError: The folder is something else, two cases have the same name, no case could be prepared, or the extra
            ``data`` is not installed.
        OutputError: The folder cannot be written.
    """
    options = options or PrepareOptions()
    for name in ("blosc2", "pyarrow"):
        load_extra(name)
    _require_distinct(cases)
    started = Manifest(state="unfinished", options=options, sources=tuple(sorted({case.source for case in cases})))
    new = not is_store(out)
    with memory_shortage_reported("Preparing", advice="Take fewer --workers."), lock_output(out, what="prepare"):
        claim(out, started)
        jobs = [PrepareJob(case, out, options, _root(cases)) for case in cases]
        outcomes = _do(jobs, workers=workers, executor=executor, progress=progress)
        prepared = [o.found for o in outcomes if isinstance(o.found, PreparedCase)]
        failures = [o.found for o in outcomes if isinstance(o.found, CaseFailure)]
        if not prepared:
            if new:  # a folder that was no store before must not become one
                (out / MANIFEST).unlink(missing_ok=True)
            raise DataError(with_first_reason(f"{out}: no case could be prepared.", failures[0].message))
        removed = sweep(out, [case.name for case in cases])
        manifest = _finish(out, started, prepared, failures)
    anew = sum(o.anew for o in outcomes if isinstance(o.found, PreparedCase))
    return Preparation(manifest, anew, removed)


def _require_distinct(cases: Sequence[Case]) -> None:
    if not cases:
        raise DataError("The data set has no cases to prepare.")
    require_distinct_files([case.name for case in cases])


def _root(cases: Sequence[Case]) -> Path:
    """Return the common folder of all files, so that a store does not depend on the data set's path."""
    parents = {str(path.parent) for case in cases for path in case.files}
    try:
        return Path(os.path.commonpath(parents))
    except ValueError:  # no files, or paths with and without a root
        return Path()


def _do(
    jobs: Sequence[PrepareJob], *, workers: int, executor: Executor | None, progress: Progress | None
) -> list[CaseOutcome]:
    """Return the outcomes in the order of the jobs."""
    found: dict[str, CaseOutcome] = {}
    if progress is not None:
        progress(0, len(jobs))
    for done, (job, outcome) in enumerate(each_job(prepare_case, jobs, workers=workers, executor=executor), start=1):
        found[job.case.name] = outcome or _died(job)
        if progress is not None:
            progress(done, len(jobs))
    return [found[job.case.name] for job in jobs]


def _died(job: PrepareJob) -> CaseOutcome:
    place = job.case.files[0] if job.case.files else job.case.name
    message = f"{place}: the process that worked on this case died, probably out of memory."
    return CaseOutcome(CaseFailure(case=job.case.name, message=message), anew=True)


def _finish(out: Path, started: Manifest, cases: Sequence[PreparedCase], failures: Sequence[CaseFailure]) -> Manifest:
    index = write_index(out, cases)
    if started.options.kind == "pictures":
        index.append(_write_picture_index(out, cases, started.options))
    counts = [case.counts for case in cases]
    files = {case.name: CaseFiles(source=case.source_files, files=case.files) for case in cases}
    manifest = started.model_copy(
        update={
            "state": "finished",
            "versions": _versions(),
            "failures": tuple(failures),
            "published": tuple(published_counts(cases)),
            "index": tuple(index),
            "cases": files,
        }
    )
    sums = {key: sum(getattr(one, key) for one in counts) for key in ("slices", "with_pancreas", "with_tumour")}
    size = sum(file.size or 0 for file in manifest.files)
    manifest = manifest.model_copy(update={"counts": StoreCounts(cases=len(cases), size_bytes=size, **sums)})
    write_manifest(out, manifest)
    return manifest


def _write_picture_index(out: Path, cases: Sequence[PreparedCase], options: PrepareOptions) -> FileDigest:
    """Write the index of a slice folder, with the window, so that other programs can use the pictures."""
    window, path = options.picture_window, out / PICTURE_INDEX
    header = ["name", "patient", "slice_index", "pancreas_pixels", "tumour_pixels", "lower_hu", "upper_hu"]
    with written_whole(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(header)
        for case in cases:
            for one in case.slices:
                pixels = (one.pancreas_pixels, one.tumour_pixels)
                number = "" if one.number is None else one.number
                table.writerow([Path(one.image).stem, case.patient, number, *pixels, window.lower_hu, window.upper_hu])
    return FileDigest(path=PICTURE_INDEX, digest=content_digest(path), size=path.stat().st_size)


def _versions() -> dict[str, str]:
    found = {}
    for name in _LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "unknown"
    return found
