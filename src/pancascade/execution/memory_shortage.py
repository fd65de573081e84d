"""Conversion of memory shortages of any library to one sentence."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager

from pancascade.errors import MemoryShortageError

_ALLOCATORS = ("can't allocate memory", "not enough memory", "out of memory", "bad allocation", "std::bad_alloc")
_LOADER = ("failed to map segment", "cannot allocate memory")


def is_memory_shortage(error: BaseException) -> bool:
    """Return whether an error means a shortage of memory."""
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True
    if isinstance(error, OSError | ImportError):  # a library that does not fit
        return getattr(error, "errno", None) == errno.ENOMEM or any(words in str(error).lower() for words in _LOADER)
    return isinstance(error, RuntimeError) and any(words in str(error).lower() for words in _ALLOCATORS)


@contextmanager
def memory_shortage_reported(what: str, *, advice: str) -> Iterator[None]:
    """Convert a shortage of memory to one sentence.

    Args:
        what: The current work, for the message.
        advice: Advice, one sentence.

    Raises:
        MemoryShortageError: The block ran out of memory.
    """
    try:
        yield
    except (MemoryError, RuntimeError, OSError, ImportError) as error:
        if not is_memory_shortage(error):
            raise
        raise MemoryShortageError(f"{what}: there is not enough memory. {advice}") from error
