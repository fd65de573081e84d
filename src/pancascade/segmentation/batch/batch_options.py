"""Options of a batch, and their record in the folder of results."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from pancascade.errors import OutputError, listed
from pancascade.files.atomic import written_whole
from pancascade.files.digests import content_digest
from pancascade.files.documents import read_json
from pancascade.inference.backends.backend import Backend
from pancascade.inference.models.known_models import is_own
from pancascade.segmentation.batch.inputs import Names
from pancascade.segmentation.batch.ledger import NAME as LEDGER
from pancascade.segmentation.batch.own_files import OPTIONS
from pancascade.settings import Settings

NAME = OPTIONS
FORMAT = 1

MaskFormat = Literal["nifti", "dicom-seg", "rtstruct", "dicom-sr"]


class SegmentOptions(Settings):
    """Options of `pancascade.segment` for all scans of a batch.

    Attributes:
        model: Names of shipped models, or paths.
        pancreas_model: Model that finds the pancreas in place of the models' own first step, by name or path; not used
            for a scan with a mask of the pancreas in a list.
        device: ``cpu`` or ``cuda``.
        tta: Average over views at three pixel sizes.
        backend: Backend that runs the networks.
        max_memory_gb: Most memory of each process.
        keep_doubtful: Also mark what is no plausible pancreas.
    """

    model: tuple[str, ...] = ("qiu2024-small",)
    pancreas_model: str | None = None
    device: str = "cpu"
    tta: bool = False
    backend: Backend = "auto"
    max_memory_gb: float | None = Field(default=None, gt=0)
    keep_doubtful: bool = False


class BatchOptions(SegmentOptions):
    """Options of a batch, including those of `Segmentation.save`.

    Attributes:
        formats: Formats of the masks.
        save_probabilities: Also write probability maps.
        keep_identifiers: Name patient and study in the results.
        report: Write ``overview.png`` and ``report.html``.
        split_masks: Also write a mask of each structure.
        statistics: Also write ``statistics.csv``.
    """

    formats: tuple[MaskFormat, ...] = ("nifti",)
    save_probabilities: bool = False
    keep_identifiers: bool = False
    report: bool = True
    split_masks: bool = False
    statistics: bool = False

    def on_cpu(self) -> "BatchOptions":
        """The same on the processor."""
        return self.model_copy(update={"device": "cpu"})

    def with_places(self) -> "BatchOptions":
        """Return a copy with absolute paths of models, so that processes in another working directory find them."""
        return self._with_models(lambda name: str(Path(name).absolute()))

    def public(self) -> dict[str, Any]:
        """Return the options for a shared file: a user's own model is its file name and the digest of its content."""
        reported = self._with_models(lambda name: f"{Path(name).name} {content_digest(Path(name))}")
        return reported.model_dump(mode="json")

    def _with_models(self, called: Callable[[str], str]) -> "BatchOptions":
        """Return a copy with other names for the user's own models."""
        given = (*self.model, self.pancreas_model or "")
        names = [called(name) if name and is_own(name) and Path(name).exists() else name for name in given]
        update = {"model": tuple(names[:-1]), "pancreas_model": names[-1] or None}
        return self.model_copy(update=update)


def begin(out: Path, options: BatchOptions, *, names: Names, resume: bool) -> None:
    """Record the batch in its folder, or check that the batch in it can be continued with these options.

    Args:
        out: Folder, locked.
        options: Options of this run.
        names: Names of cases in this run.
        resume: Whether an earlier batch may be continued.

    Raises:
        OutputError: There is an earlier batch, and it may not be continued, or has other options.
    """
    path = out / NAME
    described = {"format": FORMAT, "names": names, "options": options.public()}
    if path.exists() and _has_cases(out):
        if not resume:
            raise OutputError(f"{out}: holds a batch already. Continue with --resume, or choose another --out folder.")
        _require_same(path, described)
        return
    with written_whole(path) as temporary:
        reported = {**described, "begun": datetime.now(UTC).isoformat(timespec="seconds")}
        temporary.write_text(json.dumps(reported, indent=2) + "\n")


@contextmanager
def nothing_left_of_no_case(out: Path) -> Iterator[None]:
    """Remove the files of a batch that fails before its first case, for example without its cluster.

    Args:
        out: Folder, locked; a case is known once the ledger has its line.
    """
    try:
        yield
    except BaseException:
        if not _has_cases(out):
            for name in (NAME, LEDGER):
                (out / name).unlink(missing_ok=True)
        raise


def _has_cases(out: Path) -> bool:
    """Return whether the ledger has a case; a run without one left nothing to continue."""
    ledger = out / LEDGER
    return ledger.exists() and ledger.stat().st_size > 0


def _require_same(path: Path, described: dict[str, Any]) -> None:
    try:
        former = read_json(path)
        usual = BatchOptions().model_dump(mode="json")  # for options that an earlier version did not have
        was, now = ({**usual, **one["options"], "names": one["names"]} for one in (former, described))
        other = sorted(key for key in was | now if was.get(key) != now.get(key))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise OutputError(
            f"{path.name} in {path.absolute().parent.name}: not readable as a batch's. Choose another --out folder."
        ) from error
    if other:
        raise OutputError(
            f"{path.absolute().parent.name}: its batch was begun with another {listed(other)}. Give the same options, "
            "or choose another --out folder."
        )
