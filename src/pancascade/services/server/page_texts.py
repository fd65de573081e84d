"""The files of our own pages, which lie in this package."""

from importlib.resources import files
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from starlette.types import ASGIApp


def page_text(name: str) -> str:
    """A file of our pages.

    Args:
        name: One that there is.
    """
    return (files("pancascade.services.server") / "page" / name).read_text(encoding="utf-8")


def login_page(*, wrong: bool) -> "ASGIApp":
    """The page that asks for the token, as an answer with status 401.

    Args:
        wrong: Whether a token was given that is not the server's.
    """
    from starlette.responses import HTMLResponse

    return HTMLResponse(page_text("login.html").replace("WRONG", "That token is wrong." if wrong else ""), 401)
