"""The queue on disk: every step of a study is a folder that is moved, so that a kill loses nothing.

receiving/STUDY    images as they come
to_segment/CASE    a complete study
work/CASE          unfinished results; useless after a kill
to_send/CASE       results that the PACS has not accepted yet
undelivered/CASE   results that the PACS refused
ledger.jsonl       result of each case
"""

import json
import logging
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from shutil import rmtree

from pydantic import ValidationError

from pancascade.files.atomic import written_whole
from pancascade.files.digests import text_digest
from pancascade.files.documents import read_json
from pancascade.segmentation.batch.ledger import LedgerEntry
from pancascade.segmentation.batch.scan_input import ScanInput

logger = logging.getLogger("pancascade.services.pacs")

_ENTRY = "entry.json"
_DONE = "to_send"


class StudyQueue:
    """The steps of the received studies.

    Args:
        folder: Folder, locked by this process.
        made_by: What else a result depends on, such as model and version.
    """

    def __init__(self, folder: Path, *, made_by: str) -> None:
        self._made_by = made_by
        self.to_segment, self.work, self.to_send, self.undelivered = (
            folder / name for name in ("to_segment", "work", _DONE, "undelivered")
        )
        self._stuck: set[Path] = set()
        rmtree(self.work, ignore_errors=True)
        for place in (self.to_segment, self.work, self.to_send, self.undelivered):
            place.mkdir(parents=True, exist_ok=True)
        for case in _cases(self.to_send):  # killed between a result and the end of its study
            if (case / _ENTRY).is_file() or objects_in(case):  # a foreign folder is no result of its study
                self.forget(case.name)

    def waiting(self) -> list[Path]:
        """Return the studies to segment, the oldest first."""
        return [case for case in _cases(self.to_segment) if case not in self._stuck]

    def results(self) -> list[Path]:
        """Return the results to send, the oldest first."""
        return [case for case in _cases(self.to_send) if case not in self._stuck]

    def scan_of(self, study: Path, *, series: str | None = None) -> ScanInput:
        """Return a study as the input of a case; its stamp is equal for equal images, series and model.

        Args:
            study: One of `waiting`.
            series: CT series, as for `segment --series`.
        """
        images = sorted(path for path in study.glob("*.dcm") if path.is_file())
        stamp = text_digest(repr(([image.name for image in images], series, self._made_by)))[:16]
        size = sum(image.stat().st_size for image in images)
        return ScanInput(study, study.name, size, stamp, series=series, case=study.name)

    def begin(self, case: str) -> int:
        """Record on disk that the work on a case begins; return how often it has begun, including this time."""
        note = self.to_segment / f"{case}.begun"
        if note.is_dir():
            remove(note)
        times = 1 + (len(note.read_bytes()) if note.exists() else 0)
        with written_whole(note) as temporary:
            temporary.write_bytes(b"+" * times)
        return times

    def interrupted(self, case: str) -> None:
        """Record that the work was ended from outside, which is no fault of the case."""
        remove(self.to_segment / f"{case}.begun")

    def finish(self, entry: LedgerEntry) -> None:
        """Move the results of a case from `work` to the results to send, and remove its images."""
        place = self.work / entry.case
        with written_whole(place / _ENTRY) as temporary:
            temporary.write_text(json.dumps(entry.model_dump(mode="json")))
        remove(self.to_send / entry.case)  # a foreign one: no case is done twice
        place.replace(self.to_send / entry.case)
        self.forget(entry.case)

    def forget(self, case: str) -> None:
        """Remove the images of a case and its unfinished results."""
        remove(self.work / case)
        self._remove(self.to_segment / case)
        self.interrupted(case)

    def entry_of(self, result: Path) -> LedgerEntry:
        """Return the line for the ledger once the results of a case are sent.

        Args:
            result: One of `results`.
        """
        try:
            entry = LedgerEntry.model_validate(read_json(result / _ENTRY))
        except (OSError, ValueError, ValidationError):
            entry = None
        if entry is None or entry.case != result.name:
            return LedgerEntry(case=result.name, state="done", input="")
        return entry

    def delivered(self, result: Path) -> None:
        """Remove results that the PACS has accepted."""
        self._remove(result)

    def give_up(self, result: Path) -> None:
        """Keep results that the PACS refuses."""
        remove(self.undelivered / result.name)
        result.replace(self.undelivered / result.name)

    def is_known(self, stamp: str, entries: Iterable[LedgerEntry]) -> bool:
        """Return whether the same images were segmented before, by the ledger or among the results to send."""
        done = [entry for entry in entries if entry.state == "done"]
        return any(entry.input == stamp for entry in (*done, *map(self.entry_of, self.results())))

    def _remove(self, case: Path) -> None:
        """What cannot be removed is left out from now on, so that it is not done again and again."""
        remove(case)
        if case.exists():
            self._stuck.add(case)
            logger.error("%s: cannot be removed from the queue, and is left out. Remove it by hand.", case.name)


def remove(path: Path) -> None:
    """Remove a file, a link or a folder, whatever has that name; as far as it can be."""
    if path.is_dir() and not path.is_symlink():
        rmtree(path, ignore_errors=True)
    else:
        with suppress(OSError):
            path.unlink(missing_ok=True)


def objects_in(result: Path) -> list[Path]:
    """Return the DICOM files of a result; the segmentation comes before the report that refers to it."""
    files = (path for path in result.glob("*.dcm") if path.is_file())
    return sorted(files, key=lambda path: (path.stem != "segmentation", path.stem == "measurements"))


def _cases(folder: Path) -> list[Path]:
    return sorted((path for path in folder.iterdir() if path.is_dir()), key=lambda path: (path.stat().st_mtime, path))
