"""The receiving side of a DICOM node: C-ECHO and C-STORE; each image is on disk before it is acknowledged."""

import logging
import secrets
from collections.abc import Callable
from functools import lru_cache
from io import BytesIO
from threading import Lock
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from pancascade.errors import OutputError, PacsError
from pancascade.files.digests import text_digest
from pancascade.imaging.io.dicom.deflated import inflates_too_far
from pancascade.services.pacs.incoming import Incoming
from pancascade.services.pacs.node_settings import NodeSettings
from pancascade.services.pacs.tls import server_context

if TYPE_CHECKING:
    from pydicom import Dataset
    from pynetdicom.presentation import PresentationContext

logger = logging.getLogger("pancascade.services.pacs")

SUCCESS, OUT_OF_RESOURCES, NOT_AS_ANNOUNCED, NOT_UNDERSTOOD = 0x0000, 0xA700, 0xA900, 0xC000
"""Status of a C-STORE (PS3.4 B.2.3)."""

_TAGS = ["SOPInstanceUID", "StudyInstanceUID", "PatientID", "Manufacturer", "ManufacturerModelName"]
_MOST_ASSOCIATIONS = 20
_LEAST_IDLE_S = 60.0
_MARK_DIGITS, _INSTANCE_DIGITS = 12, 16


class Receiver:
    """A DICOM application that receives studies in its own threads.

    Args:
        settings: Settings of the node.
        incoming: Folder for the images.
        changed: Called when something came or an association ended.

    Raises:
        PacsError: The TLS files cannot be used.
    """

    def __init__(self, settings: NodeSettings, incoming: Incoming, *, changed: Callable[[], None]) -> None:
        self._settings, self._incoming, self._changed = settings, incoming, changed
        self._names: WeakKeyDictionary[Any, str] = WeakKeyDictionary()
        self._lock = Lock()
        self._tls = None if settings.tls is None else server_context(settings.tls)
        self._entity = _entity(settings)

    def start(self) -> int:
        """Start to listen; return the port.

        Raises:
            PacsError: The address cannot be used.
        """
        from pynetdicom import evt

        handlers: list[Any] = [
            (evt.EVT_C_STORE, self._store),
            (evt.EVT_RELEASED, self._released),
            (evt.EVT_ABORTED, self._ended),
            (evt.EVT_CONN_CLOSE, self._ended),
            (evt.EVT_REJECTED, self._rejected),
        ]
        place = (self._settings.host, self._settings.port)
        try:
            server = self._entity.start_server(place, block=False, evt_handlers=handlers, ssl_context=self._tls)
        except (OSError, OverflowError) as error:
            why = (getattr(error, "strerror", None) or str(error)).lower()
            raise PacsError(
                f"{place[0]}:{place[1]}: cannot listen there ({why}). Choose another --port, or another --host."
            ) from error
        return int(server.server_address[1])

    def stop(self) -> None:
        """Stop receiving; open associations are aborted, so that their senders know."""
        self._entity.shutdown()

    def _name(self, event: Any) -> str:
        with self._lock:
            return self._names.setdefault(event.assoc, secrets.token_hex(4))

    def _store(self, event: Any) -> int:
        association = self._name(event)
        try:
            status = self._kept(event, association)
        except OutputError as error:
            logger.error("An image was not stored: %s", error)
            return OUT_OF_RESOURCES
        except Exception as error:  # a thread of the library would hide it
            logger.error("An image was not stored: unexpected %s.", type(error).__name__)
            status = NOT_UNDERSTOOD
        if status != SUCCESS:
            self._incoming.failed(association)
        self._changed()
        return status

    def _kept(self, event: Any, association: str) -> int:
        content = event.encoded_dataset()
        header = _header(content)
        if header is None:
            logger.warning("An object without study or instance was refused.")
            return NOT_UNDERSTOOD
        if str(header.SOPInstanceUID) != str(event.request.AffectedSOPInstanceUID):
            logger.warning("An object that differs from the announced one was refused.")
            return NOT_AS_ANNOUNCED
        # Otherwise a PACS that forwards studies would have results segmented as soon as it has them.
        if header.get("Manufacturer") == "pancascade" and header.get("ManufacturerModelName") == "pancascade":
            return SUCCESS
        study = text_digest(repr((str(header.StudyInstanceUID), str(header.get("PatientID", "")))))[:_MARK_DIGITS]
        instance = text_digest(str(header.SOPInstanceUID))[:_INSTANCE_DIGITS]
        self._incoming.store(study, instance, content, association=association)
        return SUCCESS

    def _released(self, event: Any) -> None:
        self._incoming.released(self._name(event))
        self._changed()

    def _ended(self, event: Any) -> None:
        self._incoming.ended(self._name(event))
        self._changed()

    def _rejected(self, event: Any) -> None:
        title = "".join(
            letter for letter in str(event.assoc.requestor.ae_title) if letter.isalnum() or letter in " _-."
        )
        logger.warning(
            "An association of %s was refused: its title is not allowed, it called another title than %s, or there are "
            "too many.",
            title[:16] or "a node without title",
            self._settings.ae_title,
        )


def _entity(settings: NodeSettings) -> Any:
    from pynetdicom import AE, _config
    from pynetdicom.sop_class import Verification  # type: ignore[attr-defined]

    _config.LOG_HANDLER_LEVEL = "none"  # its messages hold names and UIDs
    entity = AE(ae_title=settings.ae_title)
    entity.supported_contexts = list(_contexts())
    entity.add_supported_context(Verification)
    entity.require_called_aet = True
    entity.require_calling_aet = list(settings.allowed)
    entity.maximum_associations = _MOST_ASSOCIATIONS
    entity.network_timeout = entity.dimse_timeout = max(settings.patience_s, _LEAST_IDLE_S)
    entity.maximum_pdu_size = 1 << 17
    return entity


@lru_cache(maxsize=1)
def _contexts() -> "tuple[PresentationContext, ...]":
    """Return all storage classes in all transfer syntaxes: nothing is decoded here."""
    from pydicom.uid import UID, AllTransferSyntaxes
    from pynetdicom import AllStoragePresentationContexts
    from pynetdicom.presentation import build_context

    classes = [str(context.abstract_syntax) for context in AllStoragePresentationContexts]
    return tuple(build_context(name, list[str | UID](AllTransferSyntaxes)) for name in classes)


def _header(content: bytes) -> "Dataset | None":
    """Return the tags that identify study and image; None if they cannot be read."""
    import pydicom

    try:
        file = BytesIO(content)
        if inflates_too_far(file):
            return None
        header = pydicom.dcmread(file, stop_before_pixels=True, specific_tags=_TAGS)
        return header if header.get("SOPInstanceUID") and header.get("StudyInstanceUID") else None
    # A damaged data set makes many parts of pydicom raise errors of many kinds.
    except Exception:
        return None
