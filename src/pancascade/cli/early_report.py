"""Import of the report's libraries while the networks run."""

from importlib import import_module
from threading import Thread

from pancascade.inference.runners.callbacks import Progress

REPORT = "pancascade.report"


def with_report_imported(progress: Progress, *, when: bool = True) -> Progress:
    """Return a callback for progress that begins to import what draws the report, in a thread, when it is first called.

    The import takes half a second. Networks leave Python's interpreter free; before they run it would delay them.

    Args:
        progress: What the returned callback calls.
        when: Whether a report is drawn at all; without one ``progress`` itself is returned.
    """
    if not when:
        return progress
    importing = Thread(target=import_module, args=(REPORT,), daemon=True)

    def show(what: str, done: int, total: int) -> None:
        if importing.ident is None:
            importing.start()
        progress(what, done, total)

    return show
