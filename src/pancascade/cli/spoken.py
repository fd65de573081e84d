"""Output of a verb: errors only, the usual, or more; and a copy in a log file."""

import io
import logging
import os
import re
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, redirect_stdout
from pathlib import Path
from typing import TextIO

from pancascade.errors import OutputError, PancascadeError
from pancascade.files.made_folders import removed_on_failure
from pancascade.messages.names_only import DICOM_FOLDER, names_only

HEADER = "# pancascade log"
"""First line of a log file: other files are never appended to."""

_OWN = logging.getLogger("pancascade")
_COLOURS = re.compile(r"\x1b\[[0-9;]*m")


class NamesOnly(logging.Formatter):
    """Format log lines that name files without their folders."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        return names_only(super().format(record), folder=DICOM_FOLDER)


class _Copied(io.TextIOBase):
    """A stream whose complete lines are logged as well."""

    def __init__(self, stream: TextIO, handler: logging.Handler) -> None:
        self._stream, self._handler, self._line = stream, handler, ""

    def write(self, text: str) -> int:
        """Write, and log the complete lines."""
        *lines, self._line = (self._line + text).split("\n")
        for line in lines:
            if line.strip():
                _log(self._handler, _COLOURS.sub("", line).rstrip())
        return self._stream.write(text)

    def flush(self) -> None:
        """Flush the stream."""
        self._stream.flush()

    def isatty(self) -> bool:
        """Return whether the stream is a terminal."""
        return self._stream.isatty()

    def fileno(self) -> int:
        """Return the file descriptor of the stream."""
        return self._stream.fileno()

    @property
    def encoding(self) -> str:  # type: ignore[override]
        """Encoding of the stream."""
        return self._stream.encoding


@contextmanager
def spoken(verb: str, *, quiet: bool = False, verbose: int = 0, log_file: Path | None = None) -> Iterator[None]:
    """Set the output of a verb inside the block.

    Args:
        verb: Name of the verb, for the log.
        quiet: Print only errors and warnings of the program itself, both on stderr; no progress.
        verbose: 1 prints steps on stderr, 2 also details.
        log_file: File to which all printed lines, warnings, errors and steps are appended, each with its time. Files
            are named without their folders.

    Raises:
        OutputError: The log file cannot be written, or is no log.
    """
    level = (logging.WARNING, logging.INFO, logging.DEBUG)[min(verbose, 2)]
    console = [handler for handler in logging.getLogger().handlers if isinstance(handler.formatter, NamesOnly)]
    before = _OWN.level, [handler.level for handler in console]
    with ExitStack() as stack:
        stack.callback(_restore, before, console)
        for handler in console:
            handler.setLevel(level)
        if verbose or log_file is not None:
            _OWN.setLevel(level if log_file is None else min(level, logging.INFO))
        stream: TextIO = stack.enter_context(Path(os.devnull).open("w", encoding="utf-8")) if quiet else sys.stdout
        if log_file is not None:
            handler = stack.enter_context(_log_of(verb, log_file))
            stream = _Copied(stream, handler)  # type: ignore[assignment]
        if stream is not sys.stdout:
            stack.enter_context(redirect_stdout(stream))
        stack.enter_context(_quietly(quiet))
        yield


_quiet = False


def is_quiet() -> bool:
    """Return whether the running verb prints neither progress nor results."""
    return _quiet


@contextmanager
def _quietly(quiet: bool) -> Iterator[None]:
    global _quiet  # noqa: PLW0603  # one command line a process
    before, _quiet = _quiet, quiet
    try:
        yield
    finally:
        _quiet = before


@contextmanager
def _log_of(verb: str, path: Path) -> Iterator[logging.Handler]:
    from pancascade import __version__

    handler = _open_log(path)
    handler.setFormatter(NamesOnly("%(asctime)s %(levelname)s %(message)s"))
    _OWN.addHandler(handler)
    _log(handler, f"pancascade {__version__}, {verb}: begun")
    try:
        yield handler
        _log(handler, f"{verb}: ended")
    except PancascadeError as error:
        _log(handler, str(error), level=logging.ERROR)
        raise
    except BaseException as error:
        code = getattr(error, "exit_code", None)
        what = f"exit code {code}" if code is not None else type(error).__name__
        _log(handler, f"{verb}: ended with {what}", level=logging.INFO if code == 0 else logging.ERROR)
        raise
    finally:
        _OWN.removeHandler(handler)
        handler.close()


class _LogFile(logging.FileHandler):
    """A log on a disk that may become full: the work goes on, and one warning says that the log does not."""

    _ended = False

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802  # logging's name
        """Give up a file that cannot be written."""
        error = sys.exception()
        if isinstance(error, OSError):
            self._give_up(error)
        else:
            super().handleError(record)

    def close(self) -> None:
        """Close the file, also if its last lines cannot be written."""
        try:
            super().close()
        except OSError as error:
            self._give_up(error)

    def _give_up(self, error: OSError) -> None:
        if not self._ended:
            self._ended = True
            self.setLevel(logging.CRITICAL + 1)
            name, why = Path(self.baseFilename).name, error.strerror
            _OWN.warning("--log-file %s: ends too early, it cannot be written any more (%s).", name, why)


def _open_log(path: Path) -> logging.FileHandler:
    """Open the log file, new or existing.

    Raises:
        OutputError: It cannot be written, or is no log.
    """
    try:
        if path.exists() and path.stat().st_size:
            with path.open("rb") as file:
                if file.read(len(HEADER)) != HEADER.encode():
                    raise OutputError(f"--log-file {path}: exists and is no log. Choose another name.")
        else:
            with removed_on_failure([path]):
                path.write_text(HEADER + "\n", encoding="utf-8")
        return _LogFile(path, encoding="utf-8")
    except OSError as error:
        raise OutputError(f"--log-file {path}: cannot be written ({error.strerror}). Choose another name.") from error


def _log(handler: logging.Handler, text: str, *, level: int = logging.INFO) -> None:
    handler.handle(logging.LogRecord(_OWN.name, level, "", 0, text, (), None))


def _restore(before: tuple[int, list[int]], console: list[logging.Handler]) -> None:
    _OWN.setLevel(before[0])
    for handler, level in zip(console, before[1], strict=True):
        handler.setLevel(level)
