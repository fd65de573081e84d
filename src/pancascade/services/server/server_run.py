"""Run the server until it is stopped."""

import asyncio
import errno
import logging
import socket
from collections.abc import Callable
from importlib.util import find_spec
from typing import TYPE_CHECKING

from pancascade.errors import PancascadeError
from pancascade.messages.quiet_log import quiet_log
from pancascade.services.server.server_settings import ServerSettings
from pancascade.services.server.temporary_files import own_temporary_files

if TYPE_CHECKING:
    from fastapi import FastAPI
    from uvicorn import Server

_MODULES = ("fastapi", "uvicorn", "python_multipart")
_END_WITHIN_S = 10
TEMPORARY = "temporary"
"""Folder of temporary files, below the server's: a killed server's are removed by the next start."""
_BACKLOG = 128


def require_extra() -> None:
    """Refuse to start without the server's libraries.

    Raises:
        PancascadeError: A library is not installed.
    """
    missing = [name for name in _MODULES if find_spec(name) is None]
    if missing:
        raise PancascadeError(
            f'The server needs {missing[0]}, which is not installed. Run pip install "pancascade[server]".'
        )


def serve(settings: ServerSettings, *, ready: Callable[[str], None]) -> None:
    """Serve until Ctrl-C or SIGTERM.

    Args:
        settings: Settings of the server.
        ready: Called with the address when the server answers.

    Raises:
        PancascadeError: The extra is not installed, the address cannot be used, or the folder cannot be written.
    """
    require_extra()
    from pancascade.services.server.app import create_app

    with bound_socket(settings.host, settings.port) as listening:
        app = create_app(settings)
        server = make_server(app, ready=lambda: ready(address_of(listening)))
        # Opened here: at the start of the server, errors would become lines of a log.
        # The parser of forms logs what clients send.
        silent = quiet_log("python_multipart", level=logging.CRITICAL + 1)
        with app.state.jobs, own_temporary_files(settings.folder / TEMPORARY), silent:
            server.run(sockets=[listening])


def make_server(app: "FastAPI", *, ready: Callable[[], None]) -> "Server":
    """Return a server for an application whose service is open.

    Args:
        app: Application by `create_app`.
        ready: Called when it answers.
    """
    import uvicorn

    class OwnServer(uvicorn.Server):
        """Reports when it is ready, and ends streams of events before it waits for their clients."""

        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            if self.started:
                ready()

        async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
            await asyncio.to_thread(app.state.jobs.stop)
            await asyncio.to_thread(app.state.labels.close)
            await super().shutdown(sockets)

    # Addresses hold ids and, once, the token: they must not be logged.
    return OwnServer(
        uvicorn.Config(
            app,
            access_log=False,
            log_level="error",
            log_config=None,
            lifespan="off",
            server_header=False,
            timeout_graceful_shutdown=_END_WITHIN_S,
        )
    )


def bound_socket(host: str, port: int) -> socket.socket:
    """Return a socket that is bound to an address.

    Raises:
        PancascadeError: The address is in use, or is not this computer's.
    """
    try:
        family, kind, number, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        bound = socket.socket(family, kind, number)
    except OSError as error:
        raise PancascadeError(f"--host {host[:60]}: there is no such address. Give one of this computer.") from error
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(address)
        bound.listen(_BACKLOG)
    except OSError as error:
        bound.close()
        if error.errno == errno.EADDRINUSE:
            raise PancascadeError(f"--port {port}: another program listens there. Choose another port.") from error
        if error.errno in (errno.EACCES, errno.EPERM):
            raise PancascadeError(f"--port {port}: not permitted to this user. Choose one above 1023.") from error
        raise PancascadeError(f"--host {host[:60]}: none of this computer's addresses. Choose another one.") from error
    return bound


def address_of(listening: socket.socket) -> str:
    """Return the address of a server for a browser."""
    host, port = listening.getsockname()[:2]
    if host in ("0.0.0.0", "::"):
        host = socket.gethostname()
    return f"http://[{host}]:{port}/" if ":" in host else f"http://{host}:{port}/"
