"""The folder of a job's data: its names are made here, and it is removed with the job."""

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
"""Suffixes by which the readers recognise a file."""


@dataclass(frozen=True)
class JobFolder:
    """The folder of a job.

    Attributes:
        path: Folder, named by the job's id.
    """

    path: Path

    @classmethod
    def new(cls, parent: Path) -> "JobFolder":
        """Make a folder that only this user may open.

        Args:
            parent: Folder of all jobs.

        Raises:
            OSError: It cannot be made.
        """
        folder = cls(parent / secrets.token_hex(16))
        folder.path.mkdir(mode=0o700)
        folder.scratch.mkdir()
        return folder

    @property
    def id(self) -> str:
        """Id of the job."""
        return self.path.name

    @property
    def scratch(self) -> Path:
        """Folder of temporary data: the upload, and what is unpacked from it."""
        return self.path / "scratch"

    @property
    def scan(self) -> Path:
        """The segmented scan, NIfTI without identifiers; written by the work."""
        return self.path / "scan.nii.gz"

    @property
    def result(self) -> Path:
        """Folder with the files of `pancascade segment --save-probabilities`."""
        return self.path / "result"

    @property
    def incoming(self) -> Path:
        """The upload while it is received, before its kind is known."""
        return self.scratch / "incoming"

    def upload(self, kind: Kind) -> Path:
        """Return the path of the upload, with the suffix of its kind."""
        return self.scratch / f"scan{SUFFIXES[kind]}"

    def write(self, job: ServerJob) -> None:
        """Write the record of the job.

        Raises:
            OutputError: It cannot be written.
        """
        with written_whole(self.path / _RECORD) as temporary:
            temporary.write_text(json.dumps(job.model_dump(mode="json"), indent=2) + "\n", encoding="utf-8")

    def read(self) -> ServerJob | None:
        """Return the record of the job; None if there is none: its upload was never complete."""
        try:
            job = ServerJob.model_validate(read_json(self.path / _RECORD))
        except (OSError, ValueError, ValidationError):
            return None
        return job if job.id == self.id else None

    def clear_scratch(self) -> None:
        """Remove the upload and all that was unpacked from it."""
        rmtree(self.scratch, ignore_errors=True)

    def clear_data(self) -> None:
        """Remove all but the record, also files that a killed process has left unfinished."""
        for path in self.path.iterdir():
            if path.is_dir():
                rmtree(path, ignore_errors=True)
            elif path.name != _RECORD:
                path.unlink(missing_ok=True)

    def remove(self) -> None:
        """Remove everything."""
        rmtree(self.path, ignore_errors=True)


def folders_in(parent: Path) -> list[JobFolder]:
    """Return the folders of jobs, and of uploads that never became a job."""
    return [JobFolder(path) for path in sorted(parent.iterdir()) if _ID.fullmatch(path.name) and path.is_dir()]
