"""Results by REST: report, numbers, mask, and all files in one archive."""

import zipfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryFile
from typing import BinaryIO, cast

from fastapi import APIRouter
from fastapi.responses import FileResponse, StreamingResponse

from pancascade.report.scan.slice_viewer import viewer_script
from pancascade.services.server.faults import RequestError, answerable
from pancascade.services.server.job_folder import JobFolder
from pancascade.services.server.job_routes import Service
from pancascade.services.server.job_service import JobService

router = APIRouter()

REPORT_ALONE = (
    "default-src 'none'; img-src data:; style-src 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'; "
    f"script-src {viewer_script()[1]}"
)
"""Policy: a report may load nothing and run only its own script; see `report.scan.slice_viewer.viewer_script`."""

_CHUNK_BYTES = 1 << 20


def finished(service: JobService, job_id: str) -> JobFolder:
    """Return the folder of a job that has a result.

    Raises:
        RequestError: There is no such job, or it has no result.
    """
    job = service.jobs.get(job_id)
    if job.state == "done":
        return service.jobs.folder(job_id)
    if job.is_finished:
        raise RequestError(
            409, f"{job.name} has no result: it {'was refused' if job.state == 'refused' else 'failed'}."
        )
    raise RequestError(409, f"{job.name} is not done yet. Wait for its end.")


def sent(path: Path, *, name: str | None = None, headers: dict[str, str] | None = None) -> FileResponse:
    """Return a file of a result as an answer.

    Args:
        path: File.
        name: Name under which a browser saves it; None shows it in the browser.
        headers: Headers of the answer.

    Raises:
        RequestError: The file does not exist.
    """
    if not path.is_file():
        raise RequestError(404, "This result has no such file.")
    return FileResponse(path, filename=name, headers=headers, media_type=media_type(path))


def media_type(path: Path) -> str:
    """Return the media type of a file of a result."""
    kinds = {".html": "text/html; charset=utf-8", ".json": "application/json", ".gz": "application/gzip"}
    return {**kinds, ".zip": "application/zip", ".png": "image/png"}.get(path.suffix, "application/octet-stream")


@router.get("/jobs/{job_id}/report")
def report(job_id: str, service: Service) -> FileResponse:
    """Return the report, HTML."""
    path = finished(service, job_id).result / "report.html"
    return sent(path, headers={"Content-Security-Policy": REPORT_ALONE})


@router.get("/jobs/{job_id}/result.json")
def result(job_id: str, service: Service) -> FileResponse:
    """Return the numbers."""
    return sent(finished(service, job_id).result / "result.json")


@router.get("/jobs/{job_id}/mask.nii.gz")
def mask(job_id: str, service: Service) -> FileResponse:
    """Return the mask: 0 background, 1 pancreas, 2 tumour, on the scan's grid."""
    name = f"{service.jobs.get(job_id).name}-segmentation.nii.gz"
    return sent(finished(service, job_id).result / "segmentation.nii.gz", name=name)


@router.get("/jobs/{job_id}/result.zip")
def archive(job_id: str, service: Service) -> StreamingResponse:
    """Return all files of the result as a zip archive."""
    folder = finished(service, job_id)
    name = service.jobs.get(job_id).name
    packed: BinaryIO | None = None
    try:
        # A file without a name: it disappears when it is closed.
        packed = cast(BinaryIO, TemporaryFile(dir=folder.path))  # noqa: SIM115  # whoever sends it closes it
        with zipfile.ZipFile(packed, "w", zipfile.ZIP_STORED) as content:  # nearly all files are compressed already
            for path in sorted(folder.result.rglob("*")):
                if path.is_file() and not path.name.startswith("."):
                    content.write(path, f"{name}/{path.relative_to(folder.result).as_posix()}")
        packed.flush()
    except OSError as error:
        if packed is not None:
            with suppress(OSError):  # it writes once more what did not fit
                packed.close()
        # A file is missing where the job is being removed.
        raise answerable(error) or RequestError(404, "This result has no such file.") from error
    size = packed.tell()
    headers = {"Content-Disposition": f'attachment; filename="{name}.zip"', "Content-Length": str(size)}
    return StreamingResponse(_chunks(packed), media_type="application/zip", headers=headers)


def _chunks(file: BinaryIO) -> Iterator[bytes]:
    with file:
        file.seek(0)
        yield from iter(lambda: file.read(_CHUNK_BYTES), b"")
