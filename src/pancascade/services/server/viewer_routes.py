"""The viewer of each finished job at ``/jobs/ID/view/``: its page, its data, and corrections."""

import anyio.to_thread
from fastapi import APIRouter, Request
from fastapi.responses import FileResponse, JSONResponse, RedirectResponse, Response

from pancascade.errors import OutputError, UnreadableError
from pancascade.results.corrections import UnchangedError, author_name, require_size
from pancascade.services.server import viewer_adapter
from pancascade.services.server.faults import RequestError
from pancascade.services.server.job_folder import JobFolder
from pancascade.services.server.job_routes import Service
from pancascade.services.server.result_routes import finished, sent
from pancascade.services.server.server_settings import ServerSettings
from pancascade.services.server.uploads import patient_chunks
from pancascade.services.viewer.content_length import announced_bytes

router = APIRouter()

VIEWER_PAGE = (
    "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; style-src 'self'; img-src 'self' data: blob:; "
    "font-src 'self' data:; connect-src 'self' data: blob:; worker-src 'self' blob:; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'"
)
"""Policy of the page: its WebGL library unpacks fonts and pictures from its script, and computes in workers."""


@router.get("/jobs/{job_id}/view", include_in_schema=False)
def view(job_id: str, service: Service) -> RedirectResponse:
    """Redirect to the page, whose own addresses are relative to the folder."""
    return RedirectResponse(f"/jobs/{service.jobs.get(job_id).id}/view/", 308)


@router.get("/jobs/{job_id}/view/viewer.json")
def document(job_id: str, service: Service) -> JSONResponse:
    """Return the data that the viewer's page shows."""
    return JSONResponse(viewer_adapter.document(finished(service, job_id).result, service.settings))


@router.get("/jobs/{job_id}/view/files/{name}")
def file(job_id: str, name: str, service: Service) -> FileResponse:
    """Return scan, mask or probabilities for the viewer."""
    folder = finished(service, job_id)
    if name == "ct.nii.gz":
        return sent(folder.scan)
    if name not in viewer_adapter.FILES:
        raise RequestError(404, "The viewer has no such file.")
    return sent(folder.result / viewer_adapter.FILES[name])


@router.post("/jobs/{job_id}/view/correction")
async def correct(job_id: str, request: Request, service: Service, author: str = "") -> JSONResponse:
    """Save an edited mask; the body is the label map, NIfTI in gzip."""
    folder = finished(service, job_id)
    if not author.strip():
        raise RequestError(400, "A correction needs its author (?author=NAME).")
    reader = author_name(author)  # before a large body is received
    label_map = await _body(request)
    name = await anyio.to_thread.run_sync(lambda: _save(folder, label_map, reader, service.settings))
    return JSONResponse({"saved": name, "note": viewer_adapter.corrections_note(service.settings)})


def _save(folder: JobFolder, label_map: bytes, author: str, settings: ServerSettings) -> str:
    """Save the mask beside the result and, if the server has a folder of corrections, there."""
    place = None if settings.corrections is None else settings.corrections / folder.id
    try:
        name = viewer_adapter.save_correction(folder.result, label_map, author=author)
    except UnchangedError:
        # A copy that failed, on a full disk say, is made up for when the reader saves again.
        missing = [] if place is None else viewer_adapter.not_kept(folder.result, place)
        if not missing:
            raise
        name = missing[-1]
    if place is not None:
        try:
            viewer_adapter.keep_corrected(folder.result, folder.scan, place)
        except OutputError as error:
            raise RequestError(507, str(error)) from error
    return name


@router.get("/jobs/{job_id}/view/{name:path}", include_in_schema=False)
def page(job_id: str, name: str, service: Service) -> Response:
    """Return the viewer's page or a file that it loads."""
    finished(service, job_id)
    content, kind = viewer_adapter.page_file(name)
    return Response(content, media_type=kind, headers={"Content-Security-Policy": VIEWER_PAGE})


async def _body(request: Request) -> bytes:
    """The whole body, if it is not too large; one that says so itself is not received.

    Raises:
        RequestError: It is too large, or the client has gone.
    """
    said = request.headers.get("content-length")
    body = bytearray()
    try:
        require_size(announced_bytes(said) or 0)
        async for chunk in patient_chunks(request.stream()):
            body += chunk
            require_size(len(body))
    except UnreadableError as error:
        raise RequestError(413, str(error)) from error
    return bytes(body)
