"""Writing of one case to a store, with a record when it is complete."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from pancascade.data.preparing.case_reading import read_case
from pancascade.data.preparing.case_writing import write_arrays, write_pictures
from pancascade.data.readers import Case
from pancascade.data.readers.reading_key import reading_key
from pancascade.data.store.manifest import FORMAT, CaseFailure
from pancascade.data.store.names import record_of
from pancascade.data.store.options import PrepareOptions
from pancascade.data.store.prepared_case import FileDigest, PreparedCase
from pancascade.errors import OutputError, PancascadeError
from pancascade.files.atomic import written_whole
from pancascade.files.documents import read_json


@dataclass(frozen=True)
class PrepareJob:
    """One case to prepare.

    Attributes:
        case: The case to read.
        store: Target folder.
        options: Options of the store.
        root: Folder to which the source's file names are relative.
    """

    case: Case
    store: Path
    options: PrepareOptions
    root: Path


@dataclass(frozen=True)
class CaseOutcome:
    """Result of one case.

    Attributes:
        found: The case in the store, or the reason of its failure.
        anew: Whether it was processed in this run, not in an earlier one.
    """

    found: PreparedCase | CaseFailure
    anew: bool


def prepare_case(job: PrepareJob) -> CaseOutcome:
    """Write a case to the store, unless it exists there from the same files and options.

    Raises:
        OutputError: The store cannot be written, so no other case can be either.
    """
    try:
        key = _key(job)
        kept = _kept(job, key)
        return CaseOutcome(_prepare(job, key), anew=True) if kept is None else CaseOutcome(kept, anew=False)
    except OutputError:
        raise
    except PancascadeError as error:
        return CaseOutcome(CaseFailure(case=job.case.name, message=str(error)), anew=True)
    except MemoryError:
        message = f"{job.case.name}: there is not enough memory for this case. Take fewer --workers."
        return CaseOutcome(CaseFailure(case=job.case.name, message=message), anew=True)
    except (OSError, ValueError, ArithmeticError) as error:
        place = job.case.files[0] if job.case.files else job.case.name
        message = f"{place}: could not be prepared ({type(error).__name__}: {error})."
        return CaseOutcome(CaseFailure(case=job.case.name, message=message), anew=True)


def read_record(path: Path) -> tuple[dict[str, Any], PreparedCase] | None:
    """Return a record's key of sources and its case; None if the record is missing or damaged."""
    try:
        kept = read_json(path)
        return kept["key"], PreparedCase.model_validate(kept["case"])
    except (OSError, ValueError, KeyError, TypeError, ValidationError):
        return None


def _kept(job: PrepareJob, key: dict[str, Any]) -> PreparedCase | None:
    record = read_record(record_of(job.store, job.case.name))
    if record is None or record[0] != key or not _is_whole(job.store, record[1].files):
        return None
    return record[1]


def _is_whole(store: Path, files: Sequence[FileDigest]) -> bool:
    try:
        return all((store / file.path).stat().st_size == file.size for file in files)
    except OSError:
        return False


def _key(job: PrepareJob) -> dict[str, Any]:
    """Return everything that a prepared case depends on."""
    case, key = job.case, reading_key(job.case)
    files = [
        FileDigest(path=_named(path, job.root), digest=digest).model_dump()
        for path, digest in zip(case.files, key["files"], strict=True)
    ]
    options = job.options.model_dump(mode="json")
    names = {"case": case.name, "patient": case.patient, "source": case.source}
    return {"format": FORMAT, "options": options, **names, **key, "files": files}


def _named(path: Path, root: Path) -> str:
    return (path.relative_to(root) if path.is_relative_to(root) else path).as_posix()


def _prepare(job: PrepareJob, key: dict[str, Any]) -> PreparedCase:
    case, options = job.case, job.options
    reading = read_case(case, options)
    record = record_of(job.store, case.name)
    # From here on the case counts as absent until it is completely written.
    record.unlink(missing_ok=True)
    if options.kind == "pictures":
        slices, files = write_pictures(reading, store=job.store, window=options.picture_window)
    else:
        slices, files = write_arrays(reading, store=job.store, name=case.name)
    prepared = PreparedCase(
        name=case.name,
        patient=case.patient,
        source=case.source,
        slices=tuple(slices),
        grid=reading.grid,
        scan_grid=reading.scan_grid,
        pancreas_ml=reading.pancreas_ml,
        tumour_ml=reading.tumour_ml,
        found=reading.found,
        source_files=tuple(FileDigest.model_validate(file) for file in key["files"]),
        files=tuple(files),
    )
    with written_whole(record) as temporary:
        text = json.dumps({"key": key, "case": prepared.model_dump(mode="json")}, ensure_ascii=False)
        temporary.write_text(text, encoding="utf-8")
    return prepared
