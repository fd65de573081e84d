"""A web server on this machine alone, with the faults of real ones."""

import io
import tarfile
import threading
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Web:
    """What is served, how, and what was asked for.

    Attributes:
        files: Content by path.
        breaks_after: Bytes after which a connection breaks; each time it does, one is taken from `breaks`.
        breaks: How often.
        ranges: Whether a download can go on in the middle.
        tells_size: Whether the server tells a file's size.
        answers: Paths that are answered by a function of the query, such as an archive's service.
        asked: Path, and the range that was asked for, of each request.
    """

    files: dict[str, bytes] = field(default_factory=dict)
    breaks_after: int = 0
    breaks: int = 0
    ranges: bool = True
    tells_size: bool = True
    answers: dict[str, Callable[[str], bytes]] = field(default_factory=dict)
    asked: list[tuple[str, str | None]] = field(default_factory=list)
    url: str = ""


class _Handler(BaseHTTPRequestHandler):
    web: Web
    protocol_version = "HTTP/1.0"

    def log_message(self, *_):
        pass

    def do_HEAD(self):
        self._send(body=False)

    def do_GET(self):
        self.web.asked.append((self.path, self.headers.get("Range")))
        self._send(body=True)

    def _send(self, *, body):
        web = self.web
        path, _, query = self.path.partition("?")
        content = web.answers[path](query) if path in web.answers else web.files.get(path)
        if content is None:
            self.send_error(404)
            return
        asked = self.headers.get("Range")
        start = int(asked.removeprefix("bytes=").rstrip("-")) if asked and web.ranges else 0
        if start and start >= len(content):
            self.send_response(416)
            self.send_header("Content-Range", f"bytes */{len(content)}")
            self.end_headers()
            return
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        if web.tells_size:
            self.send_header("Content-Length", str(len(content) - start))
        self.end_headers()
        if not body:
            return
        rest = content[start:]
        if web.breaks and len(rest) > web.breaks_after:
            web.breaks -= 1
            rest = rest[: web.breaks_after]
        self.wfile.write(rest)


def start(web: Web) -> ThreadingHTTPServer:
    handler = type("Handler", (_Handler,), {"web": web})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = False  # closing waits for all of them
    web.url = f"http://127.0.0.1:{server.server_address[1]}"
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    return server


def stop(server: ThreadingHTTPServer) -> None:
    server.shutdown()
    server.server_close()


def packed_zip(files):
    memory = io.BytesIO()
    with zipfile.ZipFile(memory, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return memory.getvalue()


def packed_tar(files):
    memory = io.BytesIO()
    with tarfile.open(fileobj=memory, mode="w") as archive:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return memory.getvalue()
