"""Settings of a DICOM node: where it listens, whom it accepts, and where its results go."""

import re
from pathlib import Path

from pydantic import Field, ValidationError, field_validator

from pancascade.errors import PacsError
from pancascade.files.documents import first_fault
from pancascade.segmentation.batch.batch_options import BatchOptions, MaskFormat
from pancascade.settings import Settings

DICOM_FORMATS: tuple[MaskFormat, ...] = ("dicom-seg", "rtstruct", "dicom-sr")
"""Formats that are sent back."""

_MOST_LETTERS = 16
_PEER = re.compile(r"(?P<ae_title>[^@]+)@(?P<host>\[[0-9A-Fa-f:.]+\]|[^:\[\]\s]+):(?P<port>\d{1,5})")


def _ae_title(text: str) -> str:
    title = text.strip(" ")
    if not title or len(title) > _MOST_LETTERS or not title.isascii() or not title.isprintable() or "\\" in title:
        raise ValueError(f"an AE title has 1 to {_MOST_LETTERS} ASCII characters and no backslash")
    return title


class Peer(Settings):
    """Another DICOM application.

    Attributes:
        ae_title: AE title (PS3.5 6.2).
        host: Name or address.
        port: TCP port.
    """

    ae_title: str
    host: str = Field(min_length=1)
    port: int = Field(ge=1, le=65535)

    _title = field_validator("ae_title")(_ae_title)

    def __str__(self) -> str:
        return f"{self.ae_title}@{self.host}:{self.port}"


class TlsFiles(Settings):
    """TLS files: both sides of a connection show a certificate that the same authority signed.

    Attributes:
        certificate: Certificate of this node, PEM.
        key: Key of the certificate, PEM.
        authority: Trusted certificates, PEM.
    """

    certificate: Path
    key: Path
    authority: Path


class NodeSettings(Settings):
    """Settings of `pancascade dicom-node`.

    Attributes:
        ae_title: AE title of the node; associations that call another one are refused.
        host: Address on which it listens.
        port: Port on which it listens; 0 lets the system choose.
        send_to: Peer for the results.
        allowed: Calling AE titles that are accepted; empty for all.
        quiet_s: A study is complete when nothing of it has come for this time, and no association that sent it is open.
        patience_s: How long a study that was broken off waits for the rest; also how long an association may be idle,
            but at least a minute.
        first_retry_s: Pause after the first failure to send; it doubles with each further one.
        last_retry_s: Longest pause.
        tls: TLS for both directions; None for none.
        series: CT series, as for `segment --series`; None chooses by rule.
        repeat: Also segment studies that were done before, from the same images by the same model.
        options: Options of the segmentation.
    """

    ae_title: str = "PANCASCADE"
    host: str = "127.0.0.1"
    port: int = Field(default=11112, ge=0, le=65535)
    send_to: Peer
    allowed: tuple[str, ...] = ()
    quiet_s: float = Field(default=30, ge=0, le=86_400)
    patience_s: float = Field(default=600, gt=0, le=86_400)
    first_retry_s: float = Field(default=5, gt=0)
    last_retry_s: float = Field(default=300, gt=0)
    tls: TlsFiles | None = None
    series: str | None = None
    repeat: bool = False
    options: BatchOptions = BatchOptions(formats=DICOM_FORMATS)

    _title = field_validator("ae_title")(_ae_title)

    @field_validator("allowed")
    @classmethod
    def _titles(cls, titles: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(_ae_title(title) for title in titles)


def parse_peer(text: str) -> Peer:
    """Parse a peer of the command line.

    Args:
        text: AE@HOST:PORT; an IPv6 address in brackets.

    Raises:
        PacsError: The text has another form.
    """
    found = _PEER.fullmatch(text.strip())
    try:
        if found is None:
            raise PacsError("--send-to: give the PACS as AE@HOST:PORT, such as ORTHANC@127.0.0.1:4242.")
        host = found["host"].strip("[]")
        return Peer(ae_title=found["ae_title"], host=host, port=int(found["port"]))
    except ValidationError as error:
        raise PacsError(f"--send-to: {first_fault(error)}. Give the PACS as AE@HOST:PORT.") from error
