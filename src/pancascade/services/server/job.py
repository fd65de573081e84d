"""A job: one scan that was sent, and its result."""

from typing import Literal

from pydantic import Field

from pancascade.segmentation.batch.ledger import CodedSentence
from pancascade.settings import Settings

State = Literal["waiting", "running", "done", "refused", "failed"]
"""``refused``: the scan can never be used; ``failed``: another error."""

Kind = Literal["nifti", "nifti-gz", "nrrd", "dicom-zip", "dicom"]
"""Kind of file that was sent, by its first bytes."""

UNFINISHED: tuple[State, ...] = ("waiting", "running")


class JobProgress(Settings):
    """Progress of the work on a scan.

    Attributes:
        doing: Name of the step, in words.
        done: Finished items, such as slices.
        total: Their total; 0 where it is not known.
    """

    doing: str = "waiting"
    done: int = 0
    total: int = 0


class JobSummary(Settings):
    """The result in a few numbers.

    Attributes:
        pancreas_ml: Volume of the pancreas with its tumours.
        lesions: Number of marked lesions.
        tumour_ml: Volume of all that is marked as tumour.
        tumour_score: Patient-level tumour score in [0, 1].
        warnings: Warnings of the result.
    """

    pancreas_ml: float
    lesions: int
    tumour_ml: float
    tumour_score: float | None = None
    warnings: tuple[CodedSentence, ...] = ()


class ServerJob(Settings):
    """One scan, without information about the patient: file names are never stored.

    Attributes:
        id: Random id that cannot be guessed.
        number: Number for people.
        kind: Kind of file that was sent.
        size_bytes: Size of the upload.
        state: See `State`.
        created: Time when the upload was complete, UTC, ISO 8601.
        ended: Time when it was done, refused, or failed, UTC.
        seconds: Time of the work.
        progress: Progress while it runs.
        reason: Why there is no result.
        summary: Summary of the result.
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
        """Name in sentences and results."""
        return f"scan-{self.number}"

    @property
    def is_finished(self) -> bool:
        """Whether the job will not change any more."""
        return self.state not in UNFINISHED
