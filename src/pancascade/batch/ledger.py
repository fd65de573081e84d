"""``ledger.jsonl``: one line a case, written as soon as it is known, whatever happens to the run."""

import json
import logging
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationError

from pancascade.errors import OutputError
from pancascade.io.documents import parse_json
from pancascade.settings import Settings

NAME = "ledger.jsonl"

logger = logging.getLogger(__name__)

State = Literal["done", "refused", "failed"]
"""``refused``: the scan cannot be used, and never will; ``failed``: something else went wrong, and may go well."""


class CodedSentence(Settings):
    """A code and its sentence.

    Attributes:
        code: For machines; see docs/notices.md.
        sentence: For people.
    """

    code: str
    sentence: str


class LedgerEntry(Settings):
    """What became of a case.

    Attributes:
        case: Its name.
        state: See `State`.
        seconds: That it took in its process.
        peak_memory_gb: Most memory that the process held meanwhile, in 10⁹ bytes; None where it is not known.
        warnings: Of the result.
        reason: Why there is no result.
        input: Digest of the input's size, date and place: a case with another one is done again.
        finished: UTC, ISO 8601.
    """

    case: str
    state: State
    seconds: float | None = None
    peak_memory_gb: float | None = None
    warnings: tuple[CodedSentence, ...] = ()
    reason: CodedSentence | None = None
    input: str
    finished: str = Field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="seconds"))


class Ledger:
    """The ledger of a folder, to be read and added to. A last line that a killed run left torn goes.

    Args:
        out: The folder, held.

    Raises:
        OutputError: It cannot be read or written.
    """

    def __init__(self, out: Path) -> None:
        self._path = out / NAME
        self.entries: dict[str, LedgerEntry] = {}
        try:
            self._descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o666)
            try:
                self._heal()
            except BaseException:
                os.close(self._descriptor)
                raise
        except OSError as error:
            raise _unwritable(self._path, error) from error

    def add(self, entry: LedgerEntry) -> None:
        """Write a line; it is on the disk when this returns.

        Raises:
            OutputError: It cannot be written.
        """
        line = json.dumps(entry.model_dump(mode="json"), ensure_ascii=False).encode("utf-8", "replace") + b"\n"
        try:
            size = os.fstat(self._descriptor).st_size
            if os.write(self._descriptor, line) < len(line):
                os.ftruncate(self._descriptor, size)
                raise OutputError(f"{NAME}: cannot be written, the disk is full. Free some space and use --resume.")
            os.fsync(self._descriptor)
        except OSError as error:
            raise _unwritable(self._path, error) from error
        self.entries[entry.case] = entry

    def close(self) -> None:
        """Give the file back."""
        os.close(self._descriptor)

    def _heal(self) -> None:
        """Read every line; the last one of a case counts."""
        content = self._path.read_bytes()
        whole = content.rfind(b"\n") + 1
        if whole < len(content):
            logger.warning("%s: its last line was torn when a run was killed; that case is done again.", NAME)
            os.ftruncate(self._descriptor, whole)
        damaged = 0
        for line in content[:whole].splitlines():
            try:
                entry = LedgerEntry.model_validate(parse_json(line))
                self.entries[entry.case] = entry
            except (ValueError, ValidationError):
                damaged += bool(line.strip())
        if damaged:
            logger.warning("%s: %d damaged lines are passed over; their cases are done again.", NAME, damaged)


def _unwritable(path: Path, error: OSError) -> OutputError:
    reason = (error.strerror or str(error)).lower()
    return OutputError(f"{path}: cannot be written ({reason}). Choose another --out folder.")
