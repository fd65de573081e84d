"""Lock the folder into which a verb writes many files: two runs at once would mix theirs."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def held(out: Path | None, *, what: str) -> Iterator[None]:
    """Make and lock the folder for the results; it is removed again if nothing was written.

    Args:
        out: The folder; None if nothing is written.
        what: Verb, for the message to other runs.

    Raises:
        OutputError: It cannot be written, or another run is writing there.
    """
    if out is None:
        yield
        return
    from pancascade.files.output_lock import lock_output

    with lock_output(out, what=f"pancascade {what}"):
        yield
