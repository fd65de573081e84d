"""Where the time goes."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field


@dataclass
class Stopwatch:
    """Seconds by what was done, in the order of the first time.

    Attributes:
        seconds: Sums so far.
        prefix: Before every name, such as the step's.
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
        """The same watch, whose names begin with a prefix."""
        return Stopwatch(self.seconds, f"{self.prefix}{prefix}: ")

    def rounded(self) -> dict[str, float]:
        """Seconds to the millisecond."""
        return {name: round(value, 3) for name, value in self.seconds.items()}
