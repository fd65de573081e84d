"""The sending side of a DICOM node: results to the PACS by C-STORE; each is removed from the queue when accepted."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pancascade.services.pacs.node_settings import Peer, TlsFiles
from pancascade.services.pacs.tls import client_context

_TIMEOUT_S = 60
_DAMAGED = "the file is damaged"
_CONNECTION_TIMEOUT_S = 15
_NO_FAILURE = (0x0000, 0xB000, 0xB006, 0xB007)
"""Status codes of accepted files, some with a warning (PS3.4 B.2.3)."""


@dataclass(frozen=True)
class Delivery:
    """Result of an attempt to send.

    Attributes:
        refused: Why the PACS refuses a file for good, by the file's name.
        missed: Why the rest could not be sent now; None if nothing is left.
    """

    refused: dict[str, str]
    missed: str | None


def send(
    files: Sequence[Path], peer: Peer, *, ae_title: str, tls: TlsFiles | None, taken: Callable[[Path], None]
) -> Delivery:
    """Send DICOM files in one association.

    Args:
        files: Files in the order of sending.
        peer: Receiving application.
        ae_title: AE title of this node.
        tls: TLS files; None without TLS.
        taken: Called with each file as soon as the peer has accepted it.

    Raises:
        PacsError: The TLS files cannot be used.
    """
    described = {file: _described(file) for file in files}
    if not any(described.values()):
        return Delivery({file.name: _DAMAGED for file in files}, None)
    association = _associate([about for about in described.values() if about], peer, ae_title=ae_title, tls=tls)
    if not association.is_established:
        return Delivery({}, _why_not(association))
    refused: dict[str, str] = {}
    try:
        for file in files:
            status = _store(file, described[file], association)
            if status is None:
                return Delivery(refused, "the connection was lost")
            if isinstance(status, str):
                refused[file.name] = status
            elif status in _NO_FAILURE:
                taken(file)
            elif status >> 8 == 0xA7:
                return Delivery(refused, f"it is out of resources, status {status:04X}")
            else:
                refused[file.name] = f"status {status:04X}"
        return Delivery(refused, None)
    finally:
        if association.is_established:
            association.release()


def _described(file: Path) -> tuple[str, str] | None:
    """Return class and transfer syntax of a file; None if it is damaged."""
    import pydicom

    try:
        meta = pydicom.dcmread(file, stop_before_pixels=True, specific_tags=["SOPClassUID"]).file_meta
        return str(meta.MediaStorageSOPClassUID), str(meta.TransferSyntaxUID)
    # A damaged file makes many parts of pydicom raise errors of many kinds.
    except Exception:
        return None


def _associate(described: Sequence[tuple[str, str]], peer: Peer, *, ae_title: str, tls: TlsFiles | None) -> Any:
    from pynetdicom import AE
    from pynetdicom.presentation import build_context

    entity = AE(ae_title=ae_title)
    entity.connection_timeout = _CONNECTION_TIMEOUT_S
    entity.acse_timeout = entity.dimse_timeout = entity.network_timeout = _TIMEOUT_S
    # One context for each syntax: the peer then always chooses one that a file has.
    contexts = [build_context(kind, syntax) for kind, syntax in dict.fromkeys(described)]
    return entity.associate(
        peer.host,
        peer.port,
        contexts=contexts,
        ae_title=peer.ae_title,
        tls_args=None if tls is None else (client_context(tls), peer.host),
    )


def _why_not(association: Any) -> str:
    if association.is_rejected:
        answer = association.acceptor.primitive
        code = (getattr(answer, "result_source", None), getattr(answer, "diagnostic", None))
        known: dict[tuple[Any, Any], str] = {
            (1, 3): "it does not know the calling AE title of this node",
            (1, 7): "it does not know the AE title that it is called by",
        }
        return known.get(code, "it refuses the association")
    if association.acceptor.primitive is not None:
        return "it accepts none of the results' classes"
    return "it cannot be reached"


def _store(file: Path, about: tuple[str, str] | None, association: Any) -> int | str | None:
    """Send a file; return the status, the reason if it can never be sent, or None if the connection is lost."""
    if about is None:
        return _DAMAGED
    accepted = {(str(one.abstract_syntax), str(one.transfer_syntax[0])) for one in association.accepted_contexts}
    if about not in accepted:
        return "its class or transfer syntax is not accepted"
    try:
        answer = association.send_c_store(file)
    except (RuntimeError, OSError):  # no association any more
        return None
    return int(answer.Status) if "Status" in answer else None
