"""The queue on disk: every step of a study is a folder that is moved, so that a kill loses nothing.

receiving/STUDY    images as they come
to_segment/CASE    a complete study
work/CASE          unfinished results; useless after a kill
to_send/CASE       results that the PACS has not accepted yet
undelivered/CASE   results that the PACS refused
ledger.jsonl       result of each case
"""

import json
from collections.abc import Iterable
from pathlib import Path
from shutil import rmtree

from pydantic import ValidationError

from pancascade.files.atomic import written_whole
from pancascade.files.digests import text_digest
from pancascade.files.documents import read_json
from pancascade.segmentation.batch.ledger import LedgerEntry
from pancascade.segmentation.batch.scan_input import ScanInput

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
        rmtree(self.work, ignore_errors=True)
        for place in (self.to_segment, self.work, self.to_send, self.undelivered):
            place.mkdir(parents=True, exist_ok=True)
        for case in _cases(self.to_send):  # killed between a result and the end of its study
            self.forget(case.name)

    def waiting(self) -> list[Path]:
        """Return the studies to segment, the oldest first."""
        return _cases(self.to_segment)

    def results(self) -> list[Path]:
        """Return the results to send, the oldest first."""
        return _cases(self.to_send)

    def scan_of(self, study: Path, *, series: str | None = None) -> ScanInput:
        """Return a study as the input of a case; its stamp is equal for equal images, series and model.

        Args:
            study: One of `waiting`.
            series: CT series, as for `segment --series`.
        """
        images = sorted(study.glob("*.dcm"))
        stamp = text_digest(repr(([image.name for image in images], series, self._made_by)))[:16]
        size = sum(image.stat().st_size for image in images)
        return ScanInput(study, study.name, size, stamp, series=series, case=study.name)

    def begin(self, case: str) -> int:
        """Record on disk that the work on a case begins; return how often it has begun, including this time."""
        note = self.to_segment / f"{case}.begun"
        times = 1 + (len(note.read_bytes()) if note.exists() else 0)
        with written_whole(note) as temporary:
            temporary.write_bytes(b"+" * times)
        return times

    def interrupted(self, case: str) -> None:
        """Record that the work was ended from outside, which is no fault of the case."""
        (self.to_segment / f"{case}.begun").unlink(missing_ok=True)

    def finish(self, entry: LedgerEntry) -> None:
        """Move the results of a case from `work` to the results to send, and remove its images."""
        place = self.work / entry.case
        with written_whole(place / _ENTRY) as temporary:
            temporary.write_text(json.dumps(entry.model_dump(mode="json")))
        place.replace(self.to_send / entry.case)
        self.forget(entry.case)

    def forget(self, case: str) -> None:
        """Remove the images of a case and its unfinished results."""
        rmtree(self.work / case, ignore_errors=True)
        rmtree(self.to_segment / case, ignore_errors=True)
        self.interrupted(case)

    def entry_of(self, result: Path) -> LedgerEntry:
        """Return the line for the ledger once the results of a case are sent.

        Args:
            result: One of `results`.
        """
        try:
            return LedgerEntry.model_validate(read_json(result / _ENTRY))
        except (OSError, ValueError, ValidationError):
            return LedgerEntry(case=result.name, state="done", input="")

    def delivered(self, result: Path) -> None:
        """Remove results that the PACS has accepted."""
        rmtree(result, ignore_errors=True)

    def give_up(self, result: Path) -> None:
        """Keep results that the PACS refuses."""
        result.replace(self.undelivered / result.name)

    def is_known(self, stamp: str, entries: Iterable[LedgerEntry]) -> bool:
        """Return whether the same images were segmented before, by the ledger or among the results to send."""
        done = [entry for entry in entries if entry.state == "done"]
        return any(entry.input == stamp for entry in (*done, *map(self.entry_of, self.results())))


def objects_in(result: Path) -> list[Path]:
    """Return the DICOM files of a result; the segmentation comes before the report that refers to it."""
    return sorted(result.glob("*.dcm"), key=lambda path: (path.stem != "segmentation", path.stem == "measurements"))


def _cases(folder: Path) -> list[Path]:
    return sorted((path for path in folder.iterdir() if path.is_dir()), key=lambda path: (path.stat().st_mtime, path))
