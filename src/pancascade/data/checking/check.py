"""Check of a data set: measurement of every case, in parallel and resumable, then a search for issues."""

import hashlib
import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from pancascade.data.checking.case_statistics import CaseStatistics, Fault, FaultKind, measure
from pancascade.data.checking.data_set_issues import find_issues
from pancascade.data.checking.duplicates import HashedImage, find_duplicates
from pancascade.data.checking.issues import Issue, Severity
from pancascade.data.checking.loose_files import find_loose
from pancascade.data.readers import Case, Layout, PictureReading, read_data_set, recognise
from pancascade.data.readers.dataset_json import label_names as names_of_labels
from pancascade.data.readers.dataset_json import read_dataset_json
from pancascade.data.readers.reading_key import reading_key
from pancascade.errors import DataError
from pancascade.execution import Executor, each_job
from pancascade.files.atomic import written_whole
from pancascade.files.documents import read_json
from pancascade.messages.names_only import public_name
from pancascade.messages.quiet_log import quiet_log

RECORD_FORMAT = 2
"""Increased whenever a case's statistics change; cases with older records are measured again."""

Progress = Callable[[int, int], None]
"""Called with the number of finished cases and of all cases."""


@dataclass(frozen=True)
class DataCheck:
    """Statistics and issues of one or several data sets.

    Attributes:
        statistics: Statistics of every case, in the order of the data sets.
        issues: Issues, worst first.
    """

    statistics: tuple[CaseStatistics, ...]
    issues: tuple[Issue, ...]

    @property
    def worst(self) -> Severity | None:
        """The worst severity of all issues."""
        return min((one.severity for one in self.issues), key=list(Severity).index, default=None)

    def of_case(self, statistics: CaseStatistics) -> list[Issue]:
        """Return the issues of a case: its own, worst first, then those of others that name it."""
        own = [one for one in self.issues if one.case == statistics.name and one.source in (None, statistics.source)]
        return own + [one for one in self.issues if one not in own and statistics.name in one.others]


@dataclass(frozen=True)
class _CheckJob:
    """One case to measure.

    Attributes:
        case: The case to read.
        region: Whether it is a region cropped from a scan.
        records: Folder with records of finished cases.
    """

    case: Case
    region: bool
    records: Path | None


def check(
    folders: Sequence[Path],
    *,
    layout: Layout | None = None,
    pictures: PictureReading | None = None,
    records: Path | None = None,
    workers: int = 1,
    executor: Executor | None = None,
    progress: Progress | None = None,
) -> DataCheck:
    """Measure every case of one or several data sets, and find issues.

    Args:
        folders: Folders of the data sets, or CSV files of volume lists.
        layout: Layout of all folders; None recognises each.
        pictures: Reading options for pictures of slice folders.
        records: Folder with records of finished cases, so that a second run only measures changed ones; None: no
            records.
        workers: Number of processes. With more than one, a script needs the usual ``if __name__ == "__main__":``.
        executor: Executor of the work; None uses processes of this machine.
        progress: Called after each case.

    Raises:
        DataError: No data set can be read. If only some cannot, each is an issue.
        OutputError: The records cannot be written.
    """
    jobs: list[_CheckJob] = []
    loose: dict[str, list[Path]] = {}
    label_names: dict[str, dict[int, str]] = {}
    unreadable: list[DataError] = []
    for folder in folders:
        try:
            chosen = recognise(folder) if layout is None else layout
            cases = read_data_set(folder, layout=chosen, pictures=pictures)
        except DataError as error:
            unreadable.append(error)
            continue
        jobs += [_CheckJob(case, chosen is Layout.REGION_FOLDER, records) for case in cases]
        if chosen in (Layout.MSD, Layout.NNUNET_RAW):
            label_names[folder.name] = names_of_labels(read_dataset_json(folder))
        if chosen is not Layout.VOLUME_LIST:  # such a list may lie among any files
            loose[str(folder)] = find_loose(folder, cases)
    if not jobs and unreadable:
        raise unreadable[0]
    all_statistics = _measure_all(jobs, workers=workers, executor=executor, progress=progress)
    images = [HashedImage(f.name, f.patient, f.source, f.image_hash) for f in all_statistics if f.image_hash]
    issues = [Issue(kind="unreadable", severity=Severity.ERROR, message=str(error)) for error in unreadable]
    issues += find_issues(all_statistics, pairs=find_duplicates(images), loose=loose, label_names=label_names)
    return DataCheck(tuple(all_statistics), tuple(issues))


def _measure_all(
    jobs: Sequence[_CheckJob], *, workers: int, executor: Executor | None, progress: Progress | None
) -> list[CaseStatistics]:
    """Return statistics in the order of the jobs."""
    if progress is not None:
        progress(0, len(jobs))
    places = {id(job): place for place, job in enumerate(jobs)}
    found: dict[int, CaseStatistics] = {}
    for job, statistics in each_job(_do_job, jobs, workers=workers, executor=executor):
        found[places[id(job)]] = _died(job.case) if statistics is None else statistics
        if progress is not None:
            progress(len(found), len(jobs))
    return [found[place] for place in range(len(jobs))]


def _died(case: Case) -> CaseStatistics:
    files = tuple(map(public_name, case.files))
    message = f"{files[0] if files else case.name}: the process that read this case died, probably out of memory."
    fault = Fault(kind=FaultKind.UNREADABLE, message=message)
    return CaseStatistics(name=case.name, patient=case.patient, source=case.source, files=files, fault=fault)


def _do_job(job: _CheckJob) -> CaseStatistics:
    """Return the statistics of a case, from its record if files and reading options are unchanged."""
    record = None if job.records is None else job.records / _record_name(job)
    case = job.case
    known = None if record is None else _kept(record)
    if known is not None:  # the files may have moved since, or belong to another patient now
        files = tuple(map(public_name, case.files))
        return known.model_copy(
            update={"name": case.name, "patient": case.patient, "source": case.source, "files": files}
        )
    # Warnings of readers become issues; logged as well, they would break the progress bar.
    with quiet_log("pancascade"):
        statistics = measure(case, region=job.region)
    # The message of a fault contains paths, and its detection is fast.
    if record is not None and statistics.fault is None:
        with written_whole(record) as temporary:
            temporary.write_text(statistics.model_dump_json(), encoding="utf-8")
    return statistics


def _record_name(job: _CheckJob) -> str:
    """Return a file name that depends on everything that the statistics depend on."""
    key = {"format": RECORD_FORMAT, "region": job.region, **reading_key(job.case)}
    digest = hashlib.blake2b(json.dumps(key, sort_keys=True).encode(), digest_size=10).hexdigest()
    return f"{re.sub(r'[^A-Za-z0-9._-]+', '_', job.case.name)[:80]}-{digest}.json"


def _kept(path: Path) -> CaseStatistics | None:
    """Return the statistics of an earlier run, if readable."""
    if not path.is_file():
        return None
    try:
        return CaseStatistics.model_validate(read_json(path))
    except (OSError, ValueError, ValidationError):
        return None  # damaged or of an older version: the case is measured again
