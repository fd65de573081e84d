"""Segment many scans into a folder each; the ledger records every finished case."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from pancascade.execution import Executor, LocalProcesses
from pancascade.files.atomic import clear_drafts
from pancascade.files.given_paths import given_path
from pancascade.files.output_lock import lock_output
from pancascade.segmentation.batch.batch_options import BatchOptions, begin, nothing_left_of_no_case
from pancascade.segmentation.batch.case_work import CaseJob, do_case
from pancascade.segmentation.batch.inputs import Names, find_inputs, write_mapping
from pancascade.segmentation.batch.ledger import CodedSentence, Ledger, LedgerEntry
from pancascade.segmentation.batch.model_check import require_models
from pancascade.segmentation.batch.pages import write_pages
from pancascade.segmentation.batch.scan_input import ScanInput


@dataclass(frozen=True)
class SegmentedCase:
    """One scan of a batch, and its result.

    Attributes:
        scan: The scan, with its name in the results.
        entry: Its line in the ledger.
        folder: Folder of its results; holds only ``refusal.json`` for a scan that cannot be used, and is missing for a
            case that failed.
    """

    scan: ScanInput
    entry: LedgerEntry
    folder: Path


def segment_many(
    inputs: str | Path | Sequence[str | Path],
    out: str | Path,
    *,
    options: BatchOptions | None = None,
    workers: int = 0,
    resume: bool = False,
    names: Names = "digest",
    series: str | None = None,
    mapping: str | Path | None = None,
    executor: Executor | None = None,
) -> Iterator[SegmentedCase]:
    """Segment many scans, several at a time, each model loaded once in each process.

    The work begins when the first case is asked for, as ``for case in segment_many(...)`` does. What is finished is on
    the disk before it is yielded. A scan that cannot be used, or a process that dies, costs its own case only. With
    more than one worker, a script needs the usual ``if __name__ == "__main__":``.

    Args:
        inputs: One or several: files; folders, searched to the bottom for scans in files and for DICOM studies; CSV
            lists with the column ``image`` and, if wanted, ``case``, ``series``, ``pancreas`` and ``pancreas_label``.
        out: Folder for the results: a folder for each case, ``ledger.jsonl``, ``cohort.html``, ``cohort.csv``.
        options: How to segment; None takes the defaults.
        workers: Number of processes; 0 takes one for every CPU core. The cores are divided among them.
        resume: Continue an earlier run: cases that are done or were refused, and whose input has not changed, are not
            repeated, and not yielded.
        names: Names of the cases; see `pancascade.segmentation.batch.inputs.Names`.
        series: DICOM series to use: its number, or a part of its description. None chooses by rule.
        mapping: CSV file to write with the case of each input. It names files; by default nothing in `out` does.
        executor: What runs the work; None takes processes of this machine.

    Yields:
        Cases as they are finished, in any order.

    Raises:
        DataError: No scan was found, or a list cannot be used.
        UnreadableError: An input does not exist.
        OutputError: The folder cannot be written, is locked by another run, or holds a batch that may not be continued
            or has other options.
        PancascadeError: No scan could be segmented: the model or the device cannot be used.
    """
    require_models(options or BatchOptions())
    folder = given_path(out, what="out")
    several = inputs if isinstance(inputs, Sequence) and not isinstance(inputs, str) else [inputs]
    scans = find_inputs([given_path(one, what="inputs") for one in several], names=names, out=folder, series=series)
    if mapping is not None:
        write_mapping(Path(mapping), scans)
    yield from run_batch(
        scans,
        folder,
        options=options or BatchOptions(),
        names=names,
        resume=resume,
        executor=executor or LocalProcesses(workers),
    )


def run_batch(
    scans: Sequence[ScanInput],
    out: Path,
    *,
    options: BatchOptions,
    names: Names,
    resume: bool,
    executor: Executor,
    begun: Callable[[Sequence[ScanInput], Iterable[LedgerEntry]], None] | None = None,
) -> Iterator[SegmentedCase]:
    """Segment scans that `find_inputs` has found; see `segment_many`.

    Args:
        scans: Scans by `find_inputs`.
        out: See `segment_many`.
        options: See `segment_many`.
        names: See `segment_many`.
        resume: See `segment_many`.
        executor: See `segment_many`.
        begun: Called before the work with the remaining scans and the ledger's lines of the others.

    Yields:
        See `segment_many`.

    Raises:
        PancascadeError: See `segment_many`.
    """
    with lock_output(out, what="pancascade batch"), nothing_left_of_no_case(out):
        begin(out, options, names=names, resume=resume)
        clear_drafts(out)
        with closing(Ledger(out)) as ledger:
            left = [scan for scan in scans if not _is_known(ledger.entries.get(scan.case), scan, out)]
            if begun is not None:
                chosen = {scan.case for scan in left}
                begun(left, (ledger.entries[scan.case] for scan in scans if scan.case not in chosen))
            # The largest first, so that no process works alone on a large one at the end.
            left.sort(key=lambda scan: -scan.size_bytes)
            placed = options.with_places()
            jobs = (CaseJob(scan, out.absolute(), placed, nameless=names != "file") for scan in left)
            with closing(executor.run(do_case, jobs)) as finished:  # type: ignore[type-var]
                for each in finished:
                    scan = each.job.scan
                    entry = each.result or _lost(scan, each.lost or "its process died")
                    ledger.add(entry)
                    yield SegmentedCase(scan, entry, out / scan.case)
            write_pages(out, (ledger.entries[scan.case] for scan in scans))


def _is_known(entry: LedgerEntry | None, scan: ScanInput, out: Path) -> bool:
    """Return whether a case need not be done: its scan has not changed, and its result is there."""
    from pancascade.results.result import NAME as RESULT

    if entry is None or entry.input != scan.stamp or entry.state == "failed":
        return False
    return entry.state == "refused" or (out / scan.case / RESULT).is_file()


def _lost(scan: ScanInput, why: str) -> LedgerEntry:
    sentence = f"{scan.case}: {why}. Use --resume with fewer --workers to try it again."
    return LedgerEntry(
        case=scan.case, state="failed", reason=CodedSentence(code="process_died", sentence=sentence), input=scan.stamp
    )
