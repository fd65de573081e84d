"""The service behind the routes: scans, their results and corrections, sessions, training."""

import os
import secrets
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from shutil import copyfile, rmtree
from threading import BoundedSemaphore, Lock
from typing import Any, BinaryIO

from pancascade.files.atomic import clear_unfinished
from pancascade.files.digests import text_digest
from pancascade.results.corrections import Correction, newest_correction, read_segmented_scan, save_label_map
from pancascade.services.server.faults import RequestError
from pancascade.services.server.monai_label.images import SCAN, Images
from pancascade.services.server.monai_label.incoming import read_sent_labels
from pancascade.services.server.monai_label.segmenter import Segmenter
from pancascade.services.server.monai_label.sessions import Sessions
from pancascade.services.server.monai_label.tasks import BatchTasks
from pancascade.services.server.monai_label.training import BackgroundTraining, TrainingOptions

MASK = "segmentation.nii.gz"
ORIGINAL, FINAL = "original", "final"
"""MONAI Label's tags for the model's mask and the reader's."""

MOST_UNPACKED_BYTES = 4_000_000_000
MOST_WAITING = 16
"""Most requests that wait for a mask at the same time; a server answers some 40 at once."""

_DRAFT = ".draft-"


class MonaiLabel:
    """Scans with their masks and corrections. Safe to use from any thread.

    Args:
        folder: Folder of all data; locked by the caller.
        segmenter: Segments the scans.
        studies: Folders or files of existing scans; only read.
        training: Options of training on corrections; None offers no training.
        most_unpacked_bytes: Largest unpacked size of an uploaded scan.

    Attributes:
        segmenter: Segments the scans.
        most_unpacked_bytes: Largest unpacked size of an uploaded scan.
        images: All scans.
        sessions: Temporary scans.
        training: Training on the corrections.
        batches: Segmentation of many scans.

    Raises:
        PancascadeError: The studies cannot be read.
    """

    def __init__(
        self,
        folder: Path,
        segmenter: Segmenter,
        *,
        studies: Sequence[Path] = (),
        training: TrainingOptions | None = None,
        most_unpacked_bytes: int = MOST_UNPACKED_BYTES,
    ) -> None:
        self.segmenter = segmenter
        self.most_unpacked_bytes = most_unpacked_bytes
        self._folder = folder
        self.images = Images(folder / "images", studies)
        self.sessions = Sessions(folder / "sessions")
        self.results = folder / "results"
        self.training = None if training is None else BackgroundTraining(training, self.results, folder / "runs")
        self.batches = BatchTasks()
        self._places = BoundedSemaphore(MOST_WAITING)

    def open(self) -> None:
        """Make the folder, which only this user may open, and remove what a killed server left unfinished.

        Raises:
            OSError: It cannot be made.
        """
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for draft in (*self.results.glob(f"{_DRAFT}*"), *self.sessions.drafts()):
            rmtree(draft, ignore_errors=True)
        for place in ("images", "sessions", "results"):
            clear_unfinished(self._folder / place, suffixes=(SCAN, ".json"))

    def close(self) -> None:
        """Stop the running work."""
        self.batches.stop()
        if self.training is not None:
            self.training.stop()

    def require_model(self, model: str) -> None:
        """Refuse the name of another model.

        Raises:
            RequestError: There is no such model.
        """
        if model != self.segmenter.model:
            raise RequestError(404, f"There is no such model; there is {self.segmenter.model}.")

    def result(self, image: str) -> Path:
        """Return the result of a scan; segment it if needed.

        Args:
            image: Id of the scan.

        Raises:
            PancascadeError: It cannot be segmented.
        """
        with self._work_on(image):
            with self.images.lock_of(image):
                scan = self.images.scan(image)
            return self._segmented(scan, self._result_folder(image))

    def result_of_session(self, session: str) -> Path:
        """Return the result of a temporary scan; segment it if needed.

        Raises:
            PancascadeError: There is no such session, or it cannot be segmented.
        """
        folder = self.sessions.folder(session)
        with self._work_on(session):
            return self._segmented(folder / SCAN, folder / "result")

    def newest(self, image: str) -> Correction | None:
        """Return the newest correction of a scan, or None."""
        folder = self._result_folder(image)
        return newest_correction(folder) if folder.is_dir() else None

    def mask(self, image: str) -> Path | None:
        """Return the model's mask of a scan; None if it was not segmented yet."""
        path = self._result_folder(image) / MASK
        return path if path.is_file() else None

    def label(self, image: str, tag: str) -> Path:
        """Return the label map of a scan under one of MONAI Label's tags.

        Raises:
            RequestError: There is no such label map.
        """
        newest = self.newest(image) if tag == FINAL else None
        path = self.mask(image) if tag == ORIGINAL else None if newest is None else newest.label_map
        if path is None:
            raise RequestError(404, f"This image has no label of the tag {tag[:20]}. Tags are {ORIGINAL} and {FINAL}.")
        return path

    def save(self, image: str, sent: BinaryIO, suffix: str, *, author: str, params: Mapping[str, Any]) -> Correction:
        """Save a client's label map as a correction.

        Args:
            image: Id of the scan.
            sent: The file.
            suffix: Suffix of the file.
            author: Name of the reader.
            params: Parameters of the request.

        Raises:
            PancascadeError: It cannot be saved.
        """
        result = self.result(image)
        label_info = params.get("label_info") or ()
        if not isinstance(label_info, Sequence) or isinstance(label_info, str):
            raise RequestError(400, "params: label_info must be a list of names and values. See corrections.md.")
        labels = read_sent_labels(sent, suffix, scan=read_segmented_scan(result), label_info=label_info)
        save_label_map(result, labels, author=author, now=datetime.now(UTC))
        saved = newest_correction(result)
        if saved is None:  # the files were removed by another program
            raise RequestError(500, "The correction was saved, but is gone. Save it again.")
        return saved

    def remove_image(self, image: str) -> None:
        """Remove an uploaded scan, its results and its corrections.

        Raises:
            RequestError: It belongs to the studies.
        """
        with self._work_on(image), self.images.lock_of(image):
            self.images.remove(image)
            for folder in self.results.glob(f"{image}.*"):
                rmtree(folder, ignore_errors=True)

    def remove_label(self, image: str, tag: str) -> None:
        """Remove the newest correction of a scan, so that the one before is the newest. The model's mask is kept.

        Raises:
            RequestError: There is no correction, or the tag is the model's.
        """
        newest = self.newest(image) if tag == FINAL else None
        if newest is None:
            raise RequestError(404, f"This image has no label of the tag {FINAL}; other labels cannot be removed.")
        newest.label_map.with_name(f"{newest.number:03d}.json").unlink(missing_ok=True)
        newest.label_map.unlink(missing_ok=True)

    @contextmanager
    def place(self) -> Iterator[None]:
        """Let a request wait for the work on a scan, unless many do: they would keep all others from an answer.

        Raises:
            RequestError: Many wait already.
        """
        if not self._places.acquire(blocking=False):
            raise RequestError(
                503, "Too many requests wait for a mask. Try again later.", headers={"Retry-After": "60"}
            )
        try:
            yield
        finally:
            self._places.release()

    def _work_on(self, image: str) -> Lock:
        """Return the lock of a scan's result. It is held for minutes; the scan itself can be fetched meanwhile."""
        return self.images.lock_of(f"{image}.result")

    def _result_folder(self, image: str) -> Path:
        return self.results / f"{image}.{text_digest(self.segmenter.model)[:6]}"

    def _segmented(self, scan: Path, out: Path) -> Path:
        if (out / "result.json").is_file():
            return out
        draft = out.with_name(f"{_DRAFT}{secrets.token_hex(4)}")
        try:
            draft.parent.mkdir(parents=True, exist_ok=True)
            self.segmenter.segment(scan, draft)
            # Beside its result, so that training finds it wherever both are moved.
            with suppress(OSError):
                os.link(scan, draft / SCAN)
            if not (draft / SCAN).exists():
                copyfile(scan, draft / SCAN)
            draft.replace(out)
        finally:
            rmtree(draft, ignore_errors=True)
        return out
