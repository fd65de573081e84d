"""Check the token: in a header of each request, or in a cookie that the first page has set."""

import hashlib
import hmac
from typing import TYPE_CHECKING
from urllib.parse import parse_qs

from pancascade.services.server.asked import Asked
from pancascade.services.server.faults import RequestError, fault_answer
from pancascade.services.server.page_texts import login_page

if TYPE_CHECKING:
    from starlette.types import ASGIApp

_OPEN_TO_ALL = ("/page/page.css", "/auth/", "/auth/token")
"""Open to all: the style of the page that asks for the token, and MONAI Label's login."""
_COOKIE_DAYS = 30


class TokenAccess:
    """Lets requests with the token pass.

    Args:
        token: Token of the server.
    """

    def __init__(self, token: str) -> None:
        self._token = token
        # Cookies do not depend on the port: another server on this computer must not overwrite this one's.
        self._cookie = f"pancascade-{_digest(token)[:8]}"
        self._pass = _digest(f"cookie {token}")

    def answer(self, request: Asked) -> "ASGIApp | None":
        """Return the answer to a request without the token, or with a new one; None if the request may pass."""
        if self._is_known(request) or request.path in _OPEN_TO_ALL:
            return None
        if request.wants_page:
            given = parse_qs(request.query).get("token", [""])[0]
            if _same(given, self._token):
                return self._welcome(secure=request.scheme == "https")
            return login_page(wrong=bool(given))
        said = "The token is wrong" if request.headers.get("authorization") else "A token is needed"
        headers = {"WWW-Authenticate": "Bearer"}
        return fault_answer(RequestError(401, f"{said}. Send it as `Authorization: Bearer TOKEN`.", headers=headers))

    def _is_known(self, request: Asked) -> bool:
        kind, _, given = request.headers.get("authorization", "").partition(" ")
        if kind.lower() == "bearer" and _same(given.strip(), self._token):
            return True
        return _same(request.cookies.get(self._cookie, ""), self._pass)

    def _welcome(self, *, secure: bool) -> "ASGIApp":
        """Return the first page with the cookie, for a browser that sent the token; its address holds no token."""
        from starlette.responses import Response

        flags = f"Path=/; HttpOnly; SameSite=Strict; Max-Age={_COOKIE_DAYS * 86_400}" + ("; Secure" if secure else "")
        cookie = f"{self._cookie}={self._pass}; {flags}"
        return Response(status_code=303, headers={"location": "/", "set-cookie": cookie})


def _digest(text: str) -> str:
    return hashlib.sha256(f"pancascade {text}".encode()).hexdigest()


def _same(given: str, wanted: str) -> bool:
    """Compare in constant time."""
    return hmac.compare_digest(given.encode("utf-8", "replace"), wanted.encode())
