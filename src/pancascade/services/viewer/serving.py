"""Serve the page of one result on this machine's loopback address, with the standard library."""

import json
import logging
import secrets
import sys
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from pancascade.errors import OutputError, PancascadeError, UnreadableError
from pancascade.results.corrections import require_size
from pancascade.services.viewer.content_length import announced_bytes
from pancascade.services.viewer.page_files import POLICY, page_files
from pancascade.services.viewer.pictures import Pictures

logger = logging.getLogger(__name__)

Save = Callable[[bytes, str], str]
"""Saves an edited mask (gzip NIfTI) with the reader's name; returns the name of the saved file."""

_HOSTS = ("127.0.0.1", "localhost")
_JSON = "application/json"


@dataclass(frozen=True)
class Shown:
    """The data of the page.

    Attributes:
        document: See `viewer_document`.
        pictures: Pictures of the same result.
        save: Saves an edited mask; None if masks are not accepted.
    """

    document: dict[str, Any]
    pictures: Pictures
    save: Save | None = None


class ViewerServer(ThreadingHTTPServer):
    """Serves one result on the loopback address, below a path that cannot be guessed."""

    daemon_threads = True

    def __init__(self, shown: Shown, *, port: int = 0) -> None:
        """Bind to a port of the loopback address; 0 lets the system choose."""
        super().__init__(("127.0.0.1", port), _Handler)
        self.shown = shown
        self.token = secrets.token_urlsafe(16)

    @property
    def address(self) -> str:
        """Address of the page."""
        return f"http://127.0.0.1:{self.server_address[1]}/{self.token}/"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Report an error of a request in one line; a browser that went away, as on closing a tab, is none."""
        error = sys.exc_info()[1]
        if error is not None and not isinstance(error, ConnectionError | TimeoutError):
            logger.error("Unexpected %s while answering the browser.", type(error).__name__)


class _Handler(BaseHTTPRequestHandler):
    """Answers requests for the page, its files and its pictures, and edited masks; all else is "not found"."""

    server: ViewerServer
    server_version, sys_version = "pancascade", ""
    protocol_version = "HTTP/1.1"
    timeout = 60  # seconds for a silent client

    def do_GET(self) -> None:
        """Answer with a file of the page, ``viewer.json`` or a picture."""
        name = self._asked()
        if name is None:
            return
        name = name or "page.html"
        if name in page_files():
            file = page_files()[name]
            self._answer(HTTPStatus.OK, file.content, file.media_type)
        elif name == "viewer.json":
            self._answer_json(HTTPStatus.OK, self.server.shown.document)
        else:
            self._picture(name)

    def do_POST(self) -> None:
        """Accept an edited mask."""
        name = self._asked()
        if name is None:
            return
        save = self.server.shown.save
        if name != "correction" or save is None:
            self._fault(HTTPStatus.NOT_FOUND, "This address accepts nothing.")
            return
        length = announced_bytes(self.headers.get("Content-Length"))
        if length is None:
            self._fault(HTTPStatus.LENGTH_REQUIRED, "The mask was sent without its length.")
            return
        try:
            require_size(length)
        except UnreadableError as error:
            self._fault(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, str(error))
            return
        content = self.rfile.read(length)
        if len(content) < length:
            self._fault(HTTPStatus.BAD_REQUEST, "The mask was cut off. Save it again.")
            return
        author = parse_qs(urlsplit(self.path).query).get("author", [""])[0]
        try:
            saved = save(content, author)
        except (PancascadeError, OSError) as error:
            cause = error.__cause__ if isinstance(error, OutputError) else error
            if isinstance(cause, OSError):
                why = (cause.strerror or type(cause).__name__).lower()
                self._fault(HTTPStatus.INSUFFICIENT_STORAGE, f"The mask cannot be written ({why}). Download it.")
            else:
                self._fault(HTTPStatus.UNPROCESSABLE_ENTITY, str(error))
        else:
            self._answer_json(HTTPStatus.OK, {"saved": saved})

    def _asked(self) -> str | None:
        """Return the part of the path below the secret; None, after an answer, for a request that is not for us."""
        host = self.headers.get("Host", "").rsplit(":", 1)[0]
        try:
            folder, _, name = urlsplit(self.path).path.lstrip("/").partition("/")
        except ValueError:  # no address
            folder = name = ""
        known = secrets.compare_digest(folder.encode(), self.server.token.encode())
        if host in _HOSTS and known:
            return name
        self._fault(HTTPStatus.NOT_FOUND, "Not found. Open the address that pancascade view printed.")
        return None

    def _picture(self, name: str) -> None:
        try:
            content = self.server.shown.pictures.content(name)
        except PancascadeError as error:
            self._fault(HTTPStatus.NOT_FOUND, str(error))
            return
        if content is None:
            self._fault(HTTPStatus.NOT_FOUND, "Not found.")
        else:
            self._answer(HTTPStatus.OK, content, "application/gzip")

    def _answer_json(self, status: HTTPStatus, document: dict[str, Any]) -> None:
        self._answer(status, json.dumps(document).encode(), _JSON)

    def _fault(self, status: HTTPStatus, sentence: str) -> None:
        self.close_connection = True  # unread data must not be taken for the next request
        self._answer(status, json.dumps({"detail": sentence}).encode(), _JSON)

    def _answer(self, status: HTTPStatus, content: bytes, media_type: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", media_type)
        self.send_header("Content-Length", str(len(content)))
        self.send_header("Content-Security-Policy", POLICY)
        self.send_header("X-Content-Type-Options", "nosniff")
        self.send_header("Referrer-Policy", "no-referrer")
        self.send_header("Cache-Control", "no-store")
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """Answer a request that is no HTTP, is too long, or has another method than GET and POST."""
        self._fault(HTTPStatus(code), "This cannot be answered. Open the address that pancascade view printed.")

    def log_message(self, format: str, *args: Any) -> None:
        """Log nothing: the address holds the token."""
