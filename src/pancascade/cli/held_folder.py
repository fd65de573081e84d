"""The folder that a verb writes many files into, held while it does: two runs at once would mix theirs."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def held(out: Path | None, *, what: str) -> Iterator[None]:
    """The folder for the results as this run's alone, made before any long work; gone again if nothing was written.

    Args:
        out: The folder; None where nothing is kept.
        what: Verb, for the message to others.

    Raises:
        OutputError: It cannot be written, or another run writes there.
    """
    if out is None:
        yield
        return
    from pancascade.files.output_lock import lock_output

    with lock_output(out, what=f"pancascade {what}"):
        yield
