"""The server's page: three files of this package."""

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, Response

from pancascade.services.server.faults import RequestError
from pancascade.services.server.page_texts import page_text

router = APIRouter()

_KINDS = {"page.css": "text/css; charset=utf-8", "page.js": "text/javascript; charset=utf-8"}


@router.get("/", include_in_schema=False)
def page(request: Request) -> HTMLResponse:
    """Return the page for sending scans."""
    most = f"{request.app.state.settings.max_upload_bytes}"
    return HTMLResponse(page_text("page.html").replace("MOST_BYTES", most))


@router.get("/page/{name}", include_in_schema=False)
def part(name: str) -> Response:
    """Return a file that the page loads."""
    if name not in _KINDS:
        raise RequestError(404, "The page has no such part.")
    return Response(page_text(name), media_type=_KINDS[name])
