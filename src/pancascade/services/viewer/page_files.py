"""The files of the page, the same for every result."""

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
"""Content security policy under which the page works; a server sends it with `page.html`."""

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
        content: Of it.
        media_type: To send with it.
    """

    content: bytes
    media_type: str


@cache
def page_files() -> Mapping[str, PageFile]:
    """Every file of the page by the name that it is asked for; ``page.html`` is the page itself.

    The page asks, relative to its own address, for these, for ``viewer.json`` (`viewer_document`), and for what that
    names (`Pictures`); it sends an edited mask by ``POST correction``.
    """
    return MappingProxyType(
        {name: PageFile((_PAGE / file).read_bytes(), media) for name, (file, media) in _FILES.items()}
    )
