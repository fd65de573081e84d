"""Where the data of a job lie: names made here, nothing of the client's; gone when the job is."""

import json
import re
import secrets
from dataclasses import dataclass
from pathlib import Path
from shutil import rmtree

from pydantic import ValidationError

from pancascade.files.atomic import written_whole
from pancascade.files.documents import read_json
from pancascade.services.server.job import Kind, ServerJob

_ID = re.compile(r"[0-9a-f]{32}")
_RECORD = "job.json"

SUFFIXES: dict[Kind, str] = {
    "nifti": ".nii",
    "nifti-gz": ".nii.gz",
    "nrrd": ".nrrd",
    "dicom-zip": ".zip",
    "dicom": ".dcm",
}
"""By which the readers know what they read."""


@dataclass(frozen=True)
class JobFolder:
    """The folder of a job.

    Attributes:
        path: Named by the job's id.
    """

    path: Path

    @classmethod
    def new(cls, parent: Path) -> "JobFolder":
        """A folder that nobody but this user may look into.

        Args:
            parent: Of all jobs.

        Raises:
            OSError: It cannot be made.
        """
        folder = cls(parent / secrets.token_hex(16))
        folder.path.mkdir(mode=0o700)
        folder.scratch.mkdir()
        return folder

    @property
    def id(self) -> str:
        """Of the job."""
        return self.path.name

    @property
    def scratch(self) -> Path:
        """What is only needed meanwhile: the upload, and what is unpacked of it."""
        return self.path / "scratch"

    @property
    def scan(self) -> Path:
        """The scan as it was segmented, NIfTI without identifiers; made by the work."""
        return self.path / "scan.nii.gz"

    @property
    def result(self) -> Path:
        """What `pancascade segment --save-probabilities` writes."""
        return self.path / "result"

    @property
    def incoming(self) -> Path:
        """The upload while it is received, before its kind is known."""
        return self.scratch / "incoming"

    def upload(self, kind: Kind) -> Path:
        """The upload, with the suffix of what it is."""
        return self.scratch / f"scan{SUFFIXES[kind]}"

    def write(self, job: ServerJob) -> None:
        """Write what is known of the job.

        Raises:
            OutputError: It cannot be written.
        """
        with written_whole(self.path / _RECORD) as temporary:
            temporary.write_text(json.dumps(job.model_dump(mode="json"), indent=2) + "\n", encoding="utf-8")

    def read(self) -> ServerJob | None:
        """What is known of the job; None where that is nothing: its upload was never complete."""
        try:
            job = ServerJob.model_validate(read_json(self.path / _RECORD))
        except (OSError, ValueError, ValidationError):
            return None
        return job if job.id == self.id else None

    def clear_scratch(self) -> None:
        """Remove the upload and all that was unpacked of it."""
        rmtree(self.scratch, ignore_errors=True)

    def clear_data(self) -> None:
        """Remove all but the record: also what a process that was killed has left half-written."""
        for path in self.path.iterdir():
            if path.is_dir():
                rmtree(path, ignore_errors=True)
            elif path.name != _RECORD:
                path.unlink(missing_ok=True)

    def remove(self) -> None:
        """Remove everything."""
        rmtree(self.path, ignore_errors=True)


def folders_in(parent: Path) -> list[JobFolder]:
    """The folders of jobs, and of uploads that never became one."""
    return [JobFolder(path) for path in sorted(parent.iterdir()) if _ID.fullmatch(path.name) and path.is_dir()]
