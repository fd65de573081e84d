"""The guard in front of the application: checks host name, origin and token, and limits what browsers may do."""

import ipaddress
import logging
import socket
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from pancascade.services.server.asked import Asked
from pancascade.services.server.faults import RequestError, fault_answer, sentence_of
from pancascade.services.server.server_settings import LOOPBACK_NAMES, ServerSettings
from pancascade.services.server.token_access import TokenAccess

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

logger = logging.getLogger(__name__)

OWN_PAGES_ONLY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
"""What the server's own pages may load, unless a route sets another policy."""

_HEADERS = {
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-store",
    "content-security-policy": OWN_PAGES_ONLY,
}
_READING = ("GET", "HEAD")
_HARMLESS = (*_READING, "OPTIONS")


class Guard:
    """Checks every request before it reaches the application.

    Args:
        app: The application.
        settings: Settings of the server.
    """

    def __init__(self, app: "ASGIApp", settings: ServerSettings) -> None:
        self._app = app
        self._access = None if settings.token is None else TokenAccess(settings.token)
        self._origins = frozenset(settings.allowed_origins)
        own = (settings.host, socket.gethostname(), *LOOPBACK_NAMES, *settings.allowed_hosts)
        self._hosts = frozenset(name.lower().rstrip(".") for name in own)

    async def __call__(self, scope: "Scope", receive: "Receive", send: "Send") -> None:
        """Answer the request, or pass it to the application."""
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self._app(scope, receive, send)
            return
        began = False
        request = Asked(scope)

        async def send_guarded(message: "Message") -> None:
            nonlocal began
            if message["type"] == "http.response.start":
                began = True
                message = {**message, "headers": self._guarded(message.get("headers", ()), request)}
            await send(message)

        try:
            await (self._early_answer(request) or self._app)(scope, receive, send_guarded)
        except Exception as error:
            # A traceback may quote the request.
            logger.error("Unexpected %s while answering a request.", type(error).__name__)
            if not began:
                await fault_answer(RequestError(500, sentence_of(500)))(scope, receive, send_guarded)

    def _early_answer(self, request: Asked) -> "ASGIApp | None":
        """Return the answer to a request that must not, or need not, reach the application."""
        from starlette.responses import Response

        if not self._knows_host(request.host):
            return fault_answer(
                RequestError(400, "This server does not have that name. Allow it with --allow-host NAME.")
            )
        if not self._trusts_page(request):
            return fault_answer(RequestError(403, "Another web page sent this request. Use the server's own page."))
        if request.method == "OPTIONS" and "origin" in request.headers:  # preflight of a request with a token
            return Response(status_code=204)
        return None if self._access is None else self._access.answer(request)

    def _knows_host(self, host: str) -> bool:
        """Return whether the host name is ours; another site's name may have been pointed here (DNS rebinding)."""
        try:
            name = (urlsplit(f"//{host}").hostname or "").rstrip(".")
        except ValueError:
            return False
        try:
            ipaddress.ip_address(name)
        except ValueError:
            return name in self._hosts
        return True

    def _trusts_page(self, request: Asked) -> bool:
        """Return whether a request does not come from another page; other pages cannot read answers anyway."""
        origin = request.headers.get("origin")
        if origin is not None:
            return self._is_allowed(origin.lower(), request.host.lower()) or request.method in _READING
        return request.method in _HARMLESS or request.headers.get("sec-fetch-site", "none") in ("none", "same-origin")

    def _is_allowed(self, origin: str, host: str) -> bool:
        """Return whether a page's origin is this server, or one that was allowed."""
        try:
            return urlsplit(origin).netloc == host or origin in self._origins
        except ValueError:  # no address at all
            return False

    def _guarded(self, headers: Any, request: Asked) -> list[tuple[bytes, bytes]]:
        """Add to the headers of an answer those that every answer has."""
        kept = [(bytes(name), bytes(value)) for name, value in headers]
        there = {name.lower() for name, _ in kept}
        added = {name: value for name, value in _HEADERS.items() if name.encode() not in there}
        origin = request.headers.get("origin", "").lower()
        if origin in self._origins:
            added |= {
                "access-control-allow-origin": origin,
                "access-control-allow-headers": "authorization, content-type",
                "access-control-allow-methods": "GET, POST, PUT, DELETE",
                "access-control-expose-headers": "content-disposition",
                "cross-origin-resource-policy": "cross-origin",
                "vary": "origin",
            }
        return [*kept, *((name.encode(), value.encode()) for name, value in added.items())]
