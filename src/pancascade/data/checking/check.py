"""Is a data set sound? Every case measured in parallel, resumable; then judged alone and together."""

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
"""Raised whenever a case's facts would differ; older records are then measured anew."""

Progress = Callable[[int, int], None]
"""Called with the number of finished cases and of all cases."""


@dataclass(frozen=True)
class DataCheck:
    """What is known of one or several data sets, and what is wrong with them.

    Attributes:
        statistics: Of every case, in the order of the data sets.
        issues: Worst first.
    """

    statistics: tuple[CaseStatistics, ...]
    issues: tuple[Issue, ...]

    @property
    def worst(self) -> Severity | None:
        """The worst severity of all findings."""
        return min((one.severity for one in self.issues), key=list(Severity).index, default=None)

    def of_case(self, statistics: CaseStatistics) -> list[Issue]:
        """The findings that name a case: its own, worst first, then those of others that name it."""
        own = [one for one in self.issues if one.case == statistics.name and one.source in (None, statistics.source)]
        return own + [one for one in self.issues if one not in own and statistics.name in one.others]


@dataclass(frozen=True)
class _CheckJob:
    """One case to measure.

    Attributes:
        case: What is read.
        region: It is cut from a scan.
        records: Folder that keeps finished cases.
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
    """Measure and judge every case of one or several data sets.

    Args:
        folders: Of the data sets, or CSV files of volume lists.
        layout: Of all of them; None recognises each.
        pictures: How pictures of slice folders are read.
        records: Folder that keeps finished cases, so that a second run only measures what changed; None keeps nothing.
        workers: Processes. With more than one, a script needs the usual ``if __name__ == "__main__":``.
        executor: Where the work is done; None takes processes of this machine.
        progress: Called after each case.

    Raises:
        DataError: None of the data sets can be read; of several, an unreadable one is a finding.
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
    """In the order of the jobs."""
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
    """The facts of a case, from its record if its files and the way they are read are the same."""
    record = None if job.records is None else job.records / _record_name(job)
    case = job.case
    known = None if record is None else _kept(record)
    if known is not None:  # the files may have moved since, or belong to another patient now
        files = tuple(map(public_name, case.files))
        return known.model_copy(
            update={"name": case.name, "patient": case.patient, "source": case.source, "files": files}
        )
    # What readers warn of becomes a finding; said twice it would tear the progress bar.
    with quiet_log("pancascade"):
        statistics = measure(case, region=job.region)
    # A fault's sentence names paths, and finding it again takes no time.
    if record is not None and statistics.fault is None:
        with written_whole(record) as temporary:
            temporary.write_text(statistics.model_dump_json(), encoding="utf-8")
    return statistics


def _record_name(job: _CheckJob) -> str:
    """Depends on all that the facts depend on."""
    key = {"format": RECORD_FORMAT, "region": job.region, **reading_key(job.case)}
    digest = hashlib.blake2b(json.dumps(key, sort_keys=True).encode(), digest_size=10).hexdigest()
    return f"{re.sub(r'[^A-Za-z0-9._-]+', '_', job.case.name)[:80]}-{digest}.json"


def _kept(path: Path) -> CaseStatistics | None:
    """The facts of an earlier run."""
    if not path.is_file():
        return None
    try:
        return CaseStatistics.model_validate(read_json(path))
    except (OSError, ValueError, ValidationError):
        return None  # damaged or of an older version: measure again
