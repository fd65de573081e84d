"""A DICOM node: receives studies, sends results, with a queue on disk between.

Images are received in threads. The main thread closes studies, segments them one after another, and sends results.
"""

import logging
import time
from collections.abc import Callable
from contextlib import closing
from importlib.metadata import version
from pathlib import Path
from threading import Event
from typing import Literal

from pancascade.errors import OutputError
from pancascade.files.documents import reason
from pancascade.files.output_lock import lock_output
from pancascade.imaging.io.dicom.dicom_files import quiet
from pancascade.messages.quiet_log import quiet_log
from pancascade.segmentation.batch.case_work import CaseJob, do_case
from pancascade.segmentation.batch.ledger import CodedSentence, Ledger, LedgerEntry
from pancascade.services.pacs.incoming import Incoming
from pancascade.services.pacs.node_settings import NodeSettings
from pancascade.services.pacs.queue import StudyQueue, objects_in
from pancascade.services.pacs.receiver import Receiver
from pancascade.services.pacs.sender import send

logger = logging.getLogger("pancascade.services.pacs")

MOST_ATTEMPTS = 3
"""Number of attempts for a study that kills the process, as one may that needs too much memory."""

_LONGEST_WAIT_S = 3600.0


class DicomNode:
    """A node with its own folder.

    Args:
        settings: Settings of the node.
        folder: Folder of the queue; made if it is missing.
        work: Segments a study: writes results into the job's folder and returns a line for the ledger.
    """

    def __init__(
        self, settings: NodeSettings, folder: Path, *, work: Callable[[CaseJob], LedgerEntry] = do_case
    ) -> None:
        self._settings, self._folder, self._segment = settings, folder.absolute(), work
        self._options = settings.options.with_places()
        self._wake, self._ending = Event(), Event()
        self._pause_s, self._retry_at_s = settings.first_retry_s, 0.0

    def stop(self) -> None:
        """Make `run` return after its current step; for other threads."""
        self._ending.set()
        self._wake.set()

    def run(self, *, ready: Callable[[int], None] = lambda _: None) -> None:
        """Serve until `stop` is called or an exception such as Ctrl-C comes; unfinished work stays in the queue.

        Args:
            ready: Called with the port once the node listens.

        Raises:
            PacsError: The address or the TLS files cannot be used.
            OutputError: The folder cannot be written, or another node works in it.
        """
        silent = quiet_log("pynetdicom", level=logging.CRITICAL + 1)
        # Entered once for all threads: nested calls in threads would undo each other.
        with lock_output(self._folder, what="pancascade dicom-node", option="--folder"), silent, quiet():
            try:
                self._queue = StudyQueue(self._folder, made_by=_made_by(self._options.public()))
                self._incoming = Incoming(self._folder / "receiving")
            except OSError as error:
                raise OutputError(
                    f"{self._folder.name}: cannot be used as a queue ({reason(error)}). Give a folder of its own."
                ) from error
            receiver = Receiver(self._settings, self._incoming, changed=self._wake.set)
            with closing(Ledger(self._folder)) as self._ledger:
                port = receiver.start()
                try:
                    ready(port)
                    self._serve()
                finally:
                    receiver.stop()

    def _serve(self) -> None:
        while True:
            self._wake.clear()
            if self._ending.is_set():  # after the line above, which would forget a `stop` that came just before it
                return
            try:
                self._close_studies()
                worked = self._segment_next()
                self._send_results()
                pause_s = 0.0 if worked else self._idle_s()
            except (OutputError, OSError) as error:  # a full disk: everything waits until there is room
                cause = error if isinstance(error, OutputError) else f"{reason(error)}. Look at the queue's folder."
                logger.error("The queue waits: %s", cause)
                pause_s = self._settings.last_retry_s
            self._wake.wait(pause_s)

    def _idle_s(self) -> float:
        """Return the seconds until something has to be done, if nothing comes."""
        limits = {"quiet_s": self._settings.quiet_s, "patience_s": self._settings.patience_s}
        due = self._incoming.next_due_s(**limits)
        sending = max(0.0, self._retry_at_s - time.monotonic()) if self._queue.results() else _LONGEST_WAIT_S
        return min(_LONGEST_WAIT_S if due is None else due, sending)

    def _close_studies(self) -> None:
        """Queue the complete studies; refuse those of which the rest has not come."""
        for study, whole in self._incoming.due(quiet_s=self._settings.quiet_s, patience_s=self._settings.patience_s):
            place = self._incoming.take(study, self._queue.to_segment)
            if place is None:
                continue
            if not whole:
                self._refuse_half(place)
            else:
                logger.info("%s: complete, %d images.", place.name, len(list(place.glob("*.dcm"))))

    def _refuse_half(self, place: Path) -> None:
        images = len(list(place.glob("*.dcm")))
        sentence = f"{place.name}: the transfer broke off after {images} images. Send the study again."
        self._refuse(place, CodedSentence(code="half_sent", sentence=sentence))

    def _segment_next(self) -> bool:
        """Segment the oldest study; return False if there is none."""
        for place in self._queue.waiting()[:1]:
            scan = self._queue.scan_of(place, series=self._settings.series)
            ended = self._ledger.entries.get(place.name)
            if ended is not None and ended.input == scan.stamp:  # killed before its images were removed
                self._queue.forget(place.name)
                return True
            if not self._incoming.is_whole(place):  # killed before it was refused
                self._refuse_half(place)
                return True
            if not self._settings.repeat and self._queue.is_known(scan.stamp, self._ledger.entries.values()):
                logger.info("%s: these images were segmented before; skipped.", place.name)
                self._queue.forget(place.name)
                return True
            if self._queue.begin(place.name) > MOST_ATTEMPTS:
                sentence = f"{place.name}: the process died {MOST_ATTEMPTS} times during it. Check the memory."
                self._refuse(place, CodedSentence(code="process_died", sentence=sentence), state="failed")
                return True
            self._do(CaseJob(scan, self._queue.work, self._options, nameless=True))
            return True
        return False

    def _do(self, job: CaseJob) -> None:
        case = job.scan.case
        try:
            entry = self._segment(job)
            if entry.state == "done":
                self._queue.finish(entry)
        except BaseException:  # Ctrl-C, or a full disk
            self._queue.interrupted(case)
            raise
        if entry.state == "done":
            logger.info("%s: segmented in %.1f s.", case, entry.seconds or 0.0)
        elif entry.reason is not None and entry.reason.code == "memory_shortage":
            sentence = f"{case}: there is not enough memory for this scan. Start the node with --max-memory."
            self._end(entry.model_copy(update={"reason": entry.reason.model_copy(update={"sentence": sentence})}))
        else:
            self._end(entry)

    def _refuse(self, place: Path, reason: CodedSentence, *, state: Literal["refused", "failed"] = "refused") -> None:
        stamp = self._queue.scan_of(place, series=self._settings.series).stamp
        self._end(LedgerEntry(case=place.name, state=state, reason=reason, input=stamp))

    def _end(self, entry: LedgerEntry) -> None:
        """Record that a study has no result and is not tried again."""
        self._ledger.add(entry)
        self._queue.forget(entry.case)
        _say(entry)

    def _send_results(self) -> None:
        """Send the finished results, unless the PACS could not be reached a moment ago."""
        if time.monotonic() < self._retry_at_s:
            return
        for result in self._queue.results():
            if not self._sent(result):
                self._retry_at_s = time.monotonic() + self._pause_s
                self._pause_s = min(2 * self._pause_s, self._settings.last_retry_s)
                return
            self._pause_s = self._settings.first_retry_s

    def _sent(self, result: Path) -> bool:
        """Send a result; return whether nothing is left to send. Files that the PACS refuses are put aside."""
        settings, peer = self._settings, self._settings.send_to
        objects = objects_in(result)
        if objects:
            delivery = send(objects, peer, ae_title=settings.ae_title, tls=settings.tls, taken=_remove)
            if delivery.missed is not None:
                logger.warning(
                    "%s: not sent to %s, %s; trying again in %g s.", result.name, peer, delivery.missed, self._pause_s
                )
                return False
            if delivery.refused:
                self._put_aside(result, delivery.refused)
                return True
        if result.name not in self._ledger.entries:  # else it was killed while the rest was removed
            self._ledger.add(self._queue.entry_of(result))
        self._queue.delivered(result)
        logger.info("%s: the results were sent to %s.", result.name, peer)
        return True

    def _put_aside(self, result: Path, refused: dict[str, str]) -> None:
        name, why = next(iter(refused.items()))
        sentence = f"{result.name}: {self._settings.send_to.ae_title} refused {name} ({why}). It is in undelivered."
        reason = CodedSentence(code="undelivered", sentence=sentence)
        entry = self._queue.entry_of(result).model_copy(update={"state": "failed", "reason": reason})
        self._ledger.add(entry)
        self._queue.give_up(result)
        _say(entry)


def _say(entry: LedgerEntry) -> None:
    if entry.reason is not None:
        logger.warning("%s: %s (%s): %s", entry.case, entry.state, entry.reason.code, entry.reason.sentence)


def _made_by(options: dict[str, object]) -> str:
    return repr((options, version("pancascade")))


def _remove(file: Path) -> None:
    """Remove a sent file: should the rest fail, it is not sent again."""
    file.unlink(missing_ok=True)
