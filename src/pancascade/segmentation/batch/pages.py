"""Write the page and the table of a whole batch."""

from collections.abc import Iterable
from pathlib import Path

from pancascade.segmentation.batch.ledger import LedgerEntry
from pancascade.segmentation.batch.own_files import PAGE, TABLE


def write_pages(out: Path, entries: Iterable[LedgerEntry]) -> bool:
    """Write ``cohort.html`` and ``cohort.csv`` from the results of the cases.

    Args:
        out: Folder of all results.
        entries: Entries of the cases for the page.

    Returns:
        Whether there was a result to show; without one, no page is written.

    Raises:
        OutputError: They cannot be written.
    """
    from pancascade.report.scan.cohort import Unreadable, read_cohort
    from pancascade.report.scan.cohort_page import write_cohort
    from pancascade.report.scan.cohort_table import write_cohort_csv
    from pancascade.results.result import NAME as RESULT

    results, without = [], []
    for entry in entries:
        if entry.state == "done":
            results.append(out / entry.case / RESULT)
        elif entry.reason is not None:
            without.append(Unreadable(out / entry.case, entry.reason.sentence))
    if not results:
        for name in (PAGE, TABLE):
            (out / name).unlink(missing_ok=True)
        return False
    found = read_cohort(results)
    found = found.model_copy(update={"unreadable": (*found.unreadable, *without)})
    write_cohort(out / PAGE, found)
    write_cohort_csv(out / TABLE, found)
    return True
