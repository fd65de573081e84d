"""A job: one scan that somebody has sent, and what became of it."""

from typing import Literal

from pydantic import Field

from pancascade.segmentation.batch.ledger import CodedSentence
from pancascade.settings import Settings

State = Literal["waiting", "running", "done", "refused", "failed"]
"""``refused``: the scan cannot be used, and will not be another time; ``failed``: something else went wrong."""

Kind = Literal["nifti", "nifti-gz", "nrrd", "dicom-zip", "dicom"]
"""What was sent, by its first bytes."""

UNFINISHED: tuple[State, ...] = ("waiting", "running")


class JobProgress(Settings):
    """How far the work on a scan is.

    Attributes:
        doing: What is being done, in words.
        done: Slices, say.
        total: Of them in all; 0 where that is not known.
    """

    doing: str = "waiting"
    done: int = 0
    total: int = 0


class JobSummary(Settings):
    """What was found, in a few numbers.

    Attributes:
        pancreas_ml: Volume of the pancreas with its tumours.
        lesions: How many are marked.
        tumour_ml: Volume of all that is marked as tumour.
        tumour_score: Patient-level tumour score in [0, 1].
        warnings: Of the result.
    """

    pancreas_ml: float
    lesions: int
    tumour_ml: float
    tumour_score: float | None = None
    warnings: tuple[CodedSentence, ...] = ()


class ServerJob(Settings):
    """One scan, without a word of whose it is: names of files are never taken over.

    Attributes:
        id: Random; who does not know it cannot guess it.
        number: For people.
        kind: What was sent.
        size_bytes: Of the upload.
        state: See `State`.
        created: UTC, ISO 8601, when the upload was complete.
        ended: UTC, when it was done, refused, or failed.
        seconds: That the work took.
        progress: While it runs.
        reason: Why there is no result.
        summary: Of the result.
    """

    id: str
    number: int = Field(ge=1)
    kind: Kind
    size_bytes: int
    series: str | None = None
    state: State = "waiting"
    created: str
    ended: str | None = None
    seconds: float | None = None
    progress: JobProgress = JobProgress()
    reason: CodedSentence | None = None
    summary: JobSummary | None = None

    @property
    def name(self) -> str:
        """What it is called in sentences and results."""
        return f"scan-{self.number}"

    @property
    def is_finished(self) -> bool:
        """Whether nothing will change any more."""
        return self.state not in UNFINISHED
