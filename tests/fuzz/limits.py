"""Limits of a case that no load of the machine can reach: of the processor's own time, and of address space."""

import faulthandler
import resource
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

CPU_S = 40
"""Of this process alone; the slowest good input takes 2."""
MEMORY_BYTES = 6 * 2**30
"""Beyond what the process has already."""


class HungError(BaseException):
    """A case used up its processor time. No Exception: nothing may catch it."""


@contextmanager
def limited(*, cpu_s: float = CPU_S, memory_bytes: int = MEMORY_BYTES) -> Iterator[None]:
    """Raise `HungError` in Python code that does not end; where C code does not, tell the stack and die."""
    seen = signal.signal(signal.SIGVTALRM, _hung)
    faulthandler.register(signal.SIGPROF, file=sys.__stderr__, chain=True)
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (_address_space() + memory_bytes, hard))
    signal.setitimer(signal.ITIMER_PROF, 5 * cpu_s)
    signal.setitimer(signal.ITIMER_VIRTUAL, cpu_s)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.setitimer(signal.ITIMER_PROF, 0)
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))
        faulthandler.unregister(signal.SIGPROF)
        signal.signal(signal.SIGVTALRM, seen)


def _hung(_: int, __: FrameType | None) -> None:
    raise HungError


def _address_space() -> int:
    return int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
