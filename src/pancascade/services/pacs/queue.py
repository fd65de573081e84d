"""The queue on the disk: every step of a study is a folder that is moved, so that a kill loses nothing.

receiving/STUDY    images as they come
to_segment/CASE    a complete study
work/CASE          results as they are made; worthless after a kill
to_send/CASE       results that the PACS has not taken yet
undelivered/CASE   results that the PACS refused
ledger.jsonl       what became of each case
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
    """The steps of studies that were received.

    Args:
        folder: Held by this process.
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
        """Studies to segment, the oldest first."""
        return _cases(self.to_segment)

    def results(self) -> list[Path]:
        """Results to send, the oldest first."""
        return _cases(self.to_send)

    def scan_of(self, study: Path, *, series: str | None = None) -> ScanInput:
        """A study as the work on a case takes it; its stamp tells the same images, segmented by the same model.

        Args:
            study: One of `waiting`.
            series: Which one, as `segment --series`.
        """
        images = sorted(study.glob("*.dcm"))
        stamp = text_digest(repr(([image.name for image in images], series, self._made_by)))[:16]
        size = sum(image.stat().st_size for image in images)
        return ScanInput(study, study.name, size, stamp, series=series, case=study.name)

    def begin(self, case: str) -> int:
        """Note on the disk that the work on a case begins; how often it has begun, this time included."""
        note = self.to_segment / f"{case}.begun"
        times = 1 + (len(note.read_bytes()) if note.exists() else 0)
        with written_whole(note) as temporary:
            temporary.write_bytes(b"+" * times)
        return times

    def interrupted(self, case: str) -> None:
        """The work was ended from outside, which is no fault of the case."""
        (self.to_segment / f"{case}.begun").unlink(missing_ok=True)

    def finish(self, entry: LedgerEntry) -> None:
        """Have the results of a case, which lie in `work`, sent; its images go."""
        place = self.work / entry.case
        with written_whole(place / _ENTRY) as temporary:
            temporary.write_text(json.dumps(entry.model_dump(mode="json")))
        place.replace(self.to_send / entry.case)
        self.forget(entry.case)

    def forget(self, case: str) -> None:
        """Remove the images of a case, and results that were not finished."""
        rmtree(self.work / case, ignore_errors=True)
        rmtree(self.to_segment / case, ignore_errors=True)
        self.interrupted(case)

    def entry_of(self, result: Path) -> LedgerEntry:
        """What is to be said of a case once its results are sent.

        Args:
            result: One of `results`.
        """
        try:
            return LedgerEntry.model_validate(read_json(result / _ENTRY))
        except (OSError, ValueError, ValidationError):
            return LedgerEntry(case=result.name, state="done", input="")

    def delivered(self, result: Path) -> None:
        """Remove results that the PACS has."""
        rmtree(result, ignore_errors=True)

    def give_up(self, result: Path) -> None:
        """Keep results that the PACS will not take."""
        result.replace(self.undelivered / result.name)

    def is_known(self, stamp: str, entries: Iterable[LedgerEntry]) -> bool:
        """Whether the same images were segmented before: those of the ledger, and those that are still to be sent."""
        done = [entry for entry in entries if entry.state == "done"]
        return any(entry.input == stamp for entry in (*done, *map(self.entry_of, self.results())))


def objects_in(result: Path) -> list[Path]:
    """The DICOM files of a result; the segmentation comes before the report that refers to it."""
    return sorted(result.glob("*.dcm"), key=lambda path: (path.stem != "segmentation", path.stem == "measurements"))


def _cases(folder: Path) -> list[Path]:
    return sorted((path for path in folder.iterdir() if path.is_dir()), key=lambda path: (path.stat().st_mtime, path))
