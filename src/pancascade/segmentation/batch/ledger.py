"""``ledger.jsonl``: one line for each case, written when the case is finished."""

import json
import logging
import os
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationError

from pancascade.errors import OutputError
from pancascade.files.documents import parse_json
from pancascade.segmentation.batch.own_files import LEDGER
from pancascade.settings import Settings

NAME = LEDGER
_LINE_BYTES = 4096
"""Bytes read at once; most lines have less than a thousand."""

logger = logging.getLogger(__name__)

State = Literal["done", "refused", "failed"]
"""``refused``: the scan can never be used; ``failed``: another error, which may not occur again."""


class CodedSentence(Settings):
    """A code and its sentence.

    Attributes:
        code: For programs; see docs/notices.md.
        sentence: For people.
    """

    code: str
    sentence: str


class LedgerEntry(Settings):
    """Result of one case.

    Attributes:
        case: Name of the case.
        state: See `State`.
        seconds: Time of the work in its process.
        peak_memory_gb: Most memory that the process used during it, in 10⁹ bytes; None where it is not known.
        warnings: Warnings of the result.
        reason: Why there is no result.
        input: Digest of the input's size, date and place: a case with another digest is done again.
        finished: Time, UTC, ISO 8601.
    """

    case: str
    state: State
    seconds: float | None = None
    peak_memory_gb: float | None = None
    warnings: tuple[CodedSentence, ...] = ()
    reason: CodedSentence | None = None
    input: str
    finished: str = Field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="seconds"))


class LedgerLines(Mapping[str, LedgerEntry]):
    """The last line of each case; lines stay in the file until they are needed.

    Attributes:
        places: Position of each case's line in the file, in bytes.
    """

    def __init__(self) -> None:
        self.places: dict[str, int] = {}
        self.descriptor = -1

    def __getitem__(self, case: str) -> LedgerEntry:
        line, place = b"", self.places[case]
        while not line.endswith(b"\n"):
            part = os.pread(self.descriptor, _LINE_BYTES, place + len(line))
            end = part.find(b"\n") + 1
            line += part[:end] if end else part
            if not part:
                break
        return LedgerEntry.model_validate(parse_json(line))

    def __iter__(self) -> Iterator[str]:
        return iter(self.places)

    def __len__(self) -> int:
        return len(self.places)


class Ledger:
    """The ledger of a folder, to read and extend. An incomplete last line of a killed run is removed.

    Attributes:
        entries: Last line of each case, while the ledger is open.

    Args:
        out: The folder, locked.

    Raises:
        OutputError: It cannot be read or written.
    """

    def __init__(self, out: Path) -> None:
        self._path = out / NAME
        self.entries = LedgerLines()
        try:
            self._descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o666)
            self.entries.descriptor = self._descriptor
            try:
                self._heal()
            except BaseException:
                os.close(self._descriptor)
                raise
        except OSError as error:
            raise _unwritable(self._path, error) from error

    def add(self, entry: LedgerEntry) -> None:
        """Append a line; it is on the disk when this returns.

        Raises:
            OutputError: A file cannot be written.
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
        self.entries.places[entry.case] = size

    def close(self) -> None:
        """Close the file."""
        os.close(self._descriptor)

    def _heal(self) -> None:
        """Find all lines; the last one of a case counts."""
        place = damaged = 0
        with self._path.open("rb") as file:
            for line in file:
                if not line.endswith(b"\n"):
                    logger.warning(
                        "%s: the last line is incomplete: its run was killed. That case is done again.", NAME
                    )
                    os.ftruncate(self._descriptor, place)
                    break
                try:
                    self.entries.places[LedgerEntry.model_validate(parse_json(line)).case] = place
                except (ValueError, ValidationError):
                    damaged += bool(line.strip())
                place += len(line)
        if damaged:
            logger.warning("%s: %d damaged lines are ignored; their cases are done again.", NAME, damaged)


def _unwritable(path: Path, error: OSError) -> OutputError:
    reason = (error.strerror or str(error)).lower()
    return OutputError(f"{path}: cannot be written ({reason}). Choose another --out folder.")
