"""The files of the server's own pages, which are in this package."""

from importlib.resources import files
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from starlette.types import ASGIApp


def page_text(name: str) -> str:
    """Return a file of the pages.

    Args:
        name: Name of an existing file.
    """
    return (files("pancascade.services.server") / "page" / name).read_text(encoding="utf-8")


def login_page(*, wrong: bool) -> "ASGIApp":
    """Return the page that asks for the token, with status 401.

    Args:
        wrong: Whether a wrong token was given.
    """
    from starlette.responses import HTMLResponse

    return HTMLResponse(page_text("login.html").replace("WRONG", "That token is wrong." if wrong else ""), 401)
