"""The parts of a request that say who sent it, before any check."""

from http.cookies import CookieError, SimpleCookie
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from starlette.types import Scope


class Asked:
    """A request without its body.

    Args:
        scope: ASGI scope.

    Attributes:
        headers: Headers by lower-case name.
        method: HTTP method.
        scheme: ``http`` or ``https``.
        path: Path of the URL.
        query: Query of the URL, unparsed.
        host: Host by which the server was called, with its port.
        wants_page: Whether a browser requests the first page.
    """

    def __init__(self, scope: "Scope") -> None:
        self.headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
        self.method: str = scope["method"]
        self.scheme: str = scope["scheme"]
        self.path: str = scope["path"]
        self.query: str = scope["query_string"].decode("latin-1")
        self.host = self.headers.get("host", "")
        self.wants_page = self.method == "GET" and self.path == "/" and "text/html" in self.headers.get("accept", "")

    @property
    def cookies(self) -> dict[str, str]:
        """Cookies by name; empty if they cannot be read."""
        try:
            return {name: one.value for name, one in SimpleCookie(self.headers.get("cookie", "")).items()}
        except CookieError:
            return {}
