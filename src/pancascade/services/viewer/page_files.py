"""The files of the viewer's page, the same for every result."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import MappingProxyType

POLICY = (
    "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; style-src 'self'; img-src 'self' data: blob:; "
    "font-src 'self' data:; connect-src 'self' data: blob:; worker-src 'self' blob:; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'"
)
"""Content security policy of the page; a server sends it with `page.html`."""

_PAGE = Path(__file__).parent / "page"
_FILES = {
    "page.html": ("page.html", "text/html; charset=utf-8"),
    "viewer.js": ("viewer.js", "text/javascript; charset=utf-8"),
    "viewer.css": ("viewer.css", "text/css; charset=utf-8"),
    "niivue.umd.js": ("niivue/niivue.umd.js", "text/javascript; charset=utf-8"),
}


@dataclass(frozen=True)
class PageFile:
    """A file of the page.

    Attributes:
        content: Content of the file.
        media_type: Media type of the file.
    """

    content: bytes
    media_type: str


@cache
def page_files() -> Mapping[str, PageFile]:
    """Return every file of the page by its name in requests; ``page.html`` is the page itself.

    The page requests these, ``viewer.json`` (`viewer_document`) and the files named in it (`Pictures`), by relative
    addresses. It sends an edited mask by ``POST correction``.
    """
    return MappingProxyType(
        {name: PageFile((_PAGE / file).read_bytes(), media) for name, (file, media) in _FILES.items()}
    )
