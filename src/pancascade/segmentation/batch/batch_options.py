"""How the scans of a batch are segmented, and what a folder of results says of it."""

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
from pancascade.inference.models.model import is_own
from pancascade.segmentation.batch.inputs import Names
from pancascade.segmentation.batch.ledger import NAME as LEDGER
from pancascade.settings import Settings

NAME = "batch.json"
FORMAT = 1

MaskFormat = Literal["nifti", "dicom-seg", "rtstruct", "dicom-sr"]


class SegmentOptions(Settings):
    """As for `pancascade.segment`.

    Attributes:
        model: Names of shipped models, or paths.
        pancreas_model: That finds the pancreas in the models' place, by name or path; a scan whose mask of it a list
            names needs none.
        device: ``cpu`` or ``cuda``.
        tta: Average over views at three pixel sizes.
        backend: What runs the networks.
        max_memory_gb: Most memory of each process.
        keep_doubtful: Also mark what was found in a place that is hardly a pancreas'.
    """

    model: tuple[str, ...] = ("qiu2024-small",)
    pancreas_model: str | None = None
    device: str = "cpu"
    tta: bool = False
    backend: Literal["auto", "torch", "openvino"] = "auto"
    max_memory_gb: float | None = Field(default=None, gt=0)
    keep_doubtful: bool = False


class BatchOptions(SegmentOptions):
    """With what `Segmentation.save` takes.

    Attributes:
        formats: Of the masks.
        save_probabilities: Also write probability maps.
        keep_identifiers: Name patient and study in the results.
        report: Draw ``overview.png`` and ``report.html``.
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
        """The same, its models' paths whole, so that processes with another working directory find them."""
        return self._with_models(lambda name: str(Path(name).absolute()))

    def public(self) -> dict[str, Any]:
        """For a file that travels: of own models the file's name and the digest of its content."""
        reported = self._with_models(lambda name: f"{Path(name).name} {content_digest(Path(name))}")
        return reported.model_dump(mode="json")

    def _with_models(self, called: Callable[[str], str]) -> "BatchOptions":
        """The same, its own models called in another way."""
        given = (*self.model, self.pancreas_model or "")
        names = [called(name) if name and is_own(name) and Path(name).exists() else name for name in given]
        update = {"model": tuple(names[:-1]), "pancreas_model": names[-1] or None}
        return self.model_copy(update=update)


def begin(out: Path, options: BatchOptions, *, names: Names, resume: bool) -> None:
    """Write what the folder holds, or make sure that it holds a batch that these options can go on with.

    Args:
        out: Folder, held.
        options: Of this run.
        names: Of this run.
        resume: Whether an earlier run may be there.

    Raises:
        OutputError: There is an earlier batch and it is not to be resumed, or was made by other options.
    """
    path = out / NAME
    described = {"format": FORMAT, "names": names, "options": options.public()}
    if path.exists() and _has_cases(out):
        if not resume:
            raise OutputError(
                f"{out}: holds a batch already. Give --resume to go on with it, or choose another --out folder."
            )
        _require_same(path, described)
        return
    with written_whole(path) as temporary:
        reported = {**described, "begun": datetime.now(UTC).isoformat(timespec="seconds")}
        temporary.write_text(json.dumps(reported, indent=2) + "\n")


@contextmanager
def nothing_left_of_no_case(out: Path) -> Iterator[None]:
    """A batch that fails before its first case, for want of a cluster say, leaves no file.

    Args:
        out: Folder, held; a case is known there once its ledger has a line.
    """
    try:
        yield
    except BaseException:
        if not _has_cases(out):
            for name in (NAME, LEDGER):
                (out / name).unlink(missing_ok=True)
        raise


def _has_cases(out: Path) -> bool:
    """Whether a case is known; a run that ended before its first one left nothing to go on with."""
    ledger = out / LEDGER
    return ledger.exists() and ledger.stat().st_size > 0


def _require_same(path: Path, described: dict[str, Any]) -> None:
    try:
        former = read_json(path)
        usual = BatchOptions().model_dump(mode="json")  # what an earlier version did not ask
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
