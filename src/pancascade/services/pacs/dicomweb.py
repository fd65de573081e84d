"""One study by DICOMweb (PS3.18): QIDO to find its CT, WADO to fetch it, STOW to send results."""

import logging
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from pancascade.errors import PacsError
from pancascade.imaging.io.dicom.dicom_files import quiet
from pancascade.messages.quiet_log import quiet_log

if TYPE_CHECKING:
    from dicomweb_client import DICOMwebClient

_UID = re.compile(r"[0-9]+(\.[0-9]+)*")
_MOST_LETTERS = 64
_TIMEOUT_S = (15, 300)
_SERIES, _COUNT = "0020000E", "00201209"
_NO_DICOMWEB = "it does not answer as a DICOMweb server. Check the address."
_ADVICE = "give the address as dicomweb:http://HOST:PORT/PATH, or with https."
_DENIED = (401, 403)
_NOT_FOUND = 404


@dataclass(frozen=True)
class Login:
    """Login for the server; it is never in a message.

    Attributes:
        token: Bearer token.
        name_and_password: NAME:PASSWORD for HTTP basic authentication.
    """

    token: str | None = None
    name_and_password: str | None = None


class DicomWeb:
    """A DICOMweb server.

    Args:
        url: URL of the service, such as http://127.0.0.1:8042/dicom-web.
        login: Login for the server.

    Raises:
        PacsError: The URL is not a web server's, or dicomweb-client is not installed.
    """

    def __init__(self, url: str, login: Login | None = None) -> None:
        self._server = _server_of(url)
        self._client = _client(url, login or Login())

    def fetch(self, study: str, folder: Path, *, series: str | None = None) -> int:
        """Fetch the CT series of a study into a folder.

        Args:
            study: UID of the study.
            folder: An existing folder.
            series: UID of a series; anything else, or None, fetches all CT of the study.

        Returns:
            The number of images.

        Raises:
            PacsError: The server cannot be reached or refuses, or there is no such study or no CT in it.
        """
        _require_uid(study, option="--study")
        wanted = series if series is not None and "." in series and _UID.fullmatch(series) else None
        with self._faults(), quiet():
            fetched = 0
            for uid, count in self._series_of(study, wanted=wanted):
                came = self._fetch_series(study, uid, folder, first=fetched)
                if came < count:
                    raise PacsError(f"{self._server}: sent only {came} of {count} images of a series. Try again.")
                fetched += came
        return fetched

    def store(self, files: Sequence[Path]) -> None:
        """Send DICOM files to the server.

        Raises:
            PacsError: It cannot be reached, or has not accepted all of them.
        """
        import pydicom

        with self._faults(), quiet():
            answer = self._client.store_instances([pydicom.dcmread(file) for file in files])
        failed = len(answer.get("FailedSOPSequence") or ())
        if failed:
            raise PacsError(f"{self._server}: {failed} of {len(files)} results were refused. Look into its log.")

    def _series_of(self, study: str, *, wanted: str | None) -> list[tuple[str, int]]:
        """Return UID and number of images of each CT series; 0 if the server does not give the number."""
        which = {"Modality": "CT"} if wanted is None else {"SeriesInstanceUID": wanted}
        found = self._client.search_for_series(study, search_filters=which, fields=["NumberOfSeriesRelatedInstances"])
        if found:
            return [(str(_value(each, _SERIES)), int(_value(each, _COUNT) or 0)) for each in found]
        if wanted is not None:
            raise PacsError(f"{self._server}: the study has no series of this UID. Check --study and --series.")
        if self._client.search_for_series(study, limit=1):
            raise PacsError(f"{self._server}: there is no CT in this study. Give another --study.")
        raise PacsError(f"{self._server}: there is no study of this UID. Check --study.")

    def _fetch_series(self, study: str, uid: str, folder: Path, *, first: int) -> int:
        import pydicom

        came: set[str] = set()
        # In the stored transfer syntax, so that the server need not decode it.
        for image in self._client.iter_series(study, uid, media_types=(("application/dicom", "*"),)):
            if (str(image.StudyInstanceUID), str(image.SeriesInstanceUID)) != (study, uid):
                raise PacsError(f"{self._server}: sent an image of another study or series. Look into its log.")
            if str(image.SOPInstanceUID) not in came:  # one that comes twice is one
                pydicom.dcmwrite(folder / f"{first + len(came):06d}.dcm", image)
                came.add(str(image.SOPInstanceUID))
        return len(came)

    @contextmanager
    def _faults(self) -> Iterator[None]:
        """Raise every error as one sentence, without UIDs and passwords."""
        import requests

        loud = logging.CRITICAL + 1
        try:
            with quiet_log("dicomweb_client", level=loud), quiet_log("urllib3", level=loud):
                yield
        except requests.HTTPError as error:
            status = 0 if error.response is None else error.response.status_code
            raise PacsError(f"{self._server}: {_refusal(status)}") from error
        except requests.exceptions.SSLError as error:
            raise PacsError(
                f"{self._server}: its certificate is not trusted. Name its authority in REQUESTS_CA_BUNDLE."
            ) from error
        except requests.Timeout as error:
            raise PacsError(f"{self._server}: it does not answer in time. Try again later.") from error
        except (requests.ConnectionError, requests.exceptions.ChunkedEncodingError) as error:
            raise PacsError(f"{self._server}: it cannot be reached. Check address and network.") from error
        except requests.RequestException as error:
            raise PacsError(f"{self._server}: {_NO_DICOMWEB}") from error
        except OSError as error:
            raise PacsError(f"The study cannot be stored ({error.strerror or 'no reason given'}).") from error
        except (PacsError, MemoryError):
            raise
        # For an answer that is no DICOMweb, the libraries raise many kinds of errors.
        except Exception as error:
            raise PacsError(f"{self._server}: {_NO_DICOMWEB}") from error


def _value(found: dict[str, Any], tag: str) -> Any:
    values = found.get(tag, {}).get("Value") or [None]
    return values[0]


def _refusal(status: int) -> str:
    if status in _DENIED:
        return (
            f"access was refused (status {status}). Give --token, or a login in PANCASCADE_DICOMWEB_TOKEN or "
            "PANCASCADE_DICOMWEB_LOGIN."
        )
    if status == _NOT_FOUND:
        return "not found (status 404). Check the address and --study."
    return f"it answers with status {status}. Look into its log."


def _server_of(url: str) -> str:
    """Return host and port for messages, without the name and password that a URL may hold."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        host, port = None, None
    if not host or urlsplit(url).scheme not in ("http", "https"):
        raise PacsError(f"dicomweb: {_ADVICE}")
    return host if port is None else f"{host}:{port}"


def _require_uid(text: str, *, option: str) -> None:
    if len(text) > _MOST_LETTERS or not _UID.fullmatch(text):
        raise PacsError(f"{option}: a UID has up to {_MOST_LETTERS} digits and dots. Give the StudyInstanceUID.")


def _client(url: str, login: Login) -> "DICOMwebClient":
    from importlib.util import find_spec

    if find_spec("dicomweb_client") is None:
        raise PacsError('DICOMweb needs dicomweb-client. Install it with `pip install "pancascade[pacs]"`.')
    import requests
    from dicomweb_client import DICOMwebClient
    from requests.auth import HTTPBasicAuth

    session = requests.Session()
    token = (login.token or "").strip()  # a file of a token often ends in a line break
    if not (token.isascii() and token.isprintable()):
        raise PacsError("--token: has characters that no token can have. Copy it again.")
    if token:
        session.headers["Authorization"] = f"Bearer {token}"
    elif login.name_and_password:
        name, _, password = login.name_and_password.partition(":")
        session.auth = HTTPBasicAuth(name.encode(), password.encode())
    try:
        client = DICOMwebClient(url, session=session, timeout=_TIMEOUT_S)
    except ValueError as error:
        raise PacsError(f"dicomweb: {_ADVICE}") from error
    client.set_http_retry_params(retry=False)
    return client
