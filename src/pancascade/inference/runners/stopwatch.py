"""Measure the time of each part of the work."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field


@dataclass
class Stopwatch:
    """Seconds by name of the work, in order of first use.

    Attributes:
        seconds: Sums so far.
        prefix: Prefix of every name, such as the step's.
    """

    seconds: dict[str, float] = field(default_factory=dict)
    prefix: str = ""

    @contextmanager
    def measure(self, what: str) -> Iterator[None]:
        """Add the time spent inside to ``what``."""
        started = time.perf_counter()
        name = f"{self.prefix}{what}"
        try:
            yield
        finally:
            self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - started

    def within(self, prefix: str) -> "Stopwatch":
        """Return the same watch with a further prefix for its names."""
        return Stopwatch(self.seconds, f"{self.prefix}{prefix}.")

    def rounded(self) -> dict[str, float]:
        """Return the seconds rounded to milliseconds."""
        return {name: round(value, 3) for name, value in self.seconds.items()}
