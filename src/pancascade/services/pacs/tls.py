"""TLS for both directions: each side shows a certificate (BCP 195 profile, PS3.15 B.9)."""

import socket
import ssl
from typing import Any

from pancascade.errors import PacsError
from pancascade.services.pacs.node_settings import TlsFiles

_HANDSHAKE_S = 15.0


def server_context(files: TlsFiles) -> ssl.SSLContext:
    """Return the context for senders of studies, who must show a certificate of the authority.

    Raises:
        PacsError: A file is missing or of another kind.
    """
    return _context(files, ssl.PROTOCOL_TLS_SERVER)


def client_context(files: TlsFiles) -> ssl.SSLContext:
    """Return the context for the PACS, whose certificate must be of the authority and name its host.

    Raises:
        PacsError: A file is missing or of another kind.
    """
    return _context(files, ssl.PROTOCOL_TLS_CLIENT)


class _ImpatientContext(ssl.SSLContext):
    """Limits the time of a handshake: pynetdicom accepts nobody else meanwhile."""

    def wrap_socket(self, sock: socket.socket, *given: Any, **named: Any) -> ssl.SSLSocket:
        """Return the socket, after its handshake if it is connected."""
        former = sock.gettimeout()
        sock.settimeout(_HANDSHAKE_S)
        wrapped = super().wrap_socket(sock, *given, **named)
        wrapped.settimeout(former)
        return wrapped


def _context(files: TlsFiles, protocol: int) -> ssl.SSLContext:
    for file in (files.certificate, files.key, files.authority):
        if not file.is_file():
            raise PacsError(f"{file.name}: there is no such file. Check the --tls options.")
    try:
        context = _ImpatientContext(protocol)
        context.load_verify_locations(files.authority)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.verify_mode = ssl.CERT_REQUIRED
        # A locked key would ask for its password on the terminal.
        context.load_cert_chain(files.certificate, files.key, password=_no_password)
    except (ssl.SSLError, OSError, ValueError) as error:
        why = "the key is locked by a password" if isinstance(error, _LockedError) else "no PEM, or no pair"
        raise PacsError(
            f"{files.certificate.name}, {files.key.name}, {files.authority.name}: not usable for TLS ({why}). "
            "Check the --tls options."
        ) from error
    return context


class _LockedError(ValueError):
    """A key needs a password."""


def _no_password() -> str:
    raise _LockedError
