"""Fetch a scan from a DICOMweb server, in place of one on the disk."""

import os
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import typer

from pancascade.errors import OutputError, PacsError

LOGIN, TOKEN = "PANCASCADE_DICOMWEB_LOGIN", "PANCASCADE_DICOMWEB_TOKEN"
"""Environment variables: NAME:PASSWORD, and a bearer token."""

Study = Annotated[str | None, typer.Option("--study", help="UID of the study on a DICOMweb server.")]
Store = Annotated[
    bool,
    typer.Option("--store", help="Also send the DICOM results to the DICOMweb server; --out may be missing."),
]
Token = Annotated[
    str | None, typer.Option("--token", envvar=TOKEN, show_envvar=True, help="Bearer token for the DICOMweb server.")
]

# A path has one slash where a URL has two.
_ADDRESS = re.compile(r"dicomweb:(?P<scheme>https?):/+(?P<rest>.+)")
_PREFIX = "dicomweb:"


@dataclass(frozen=True)
class Places:
    """Where a scan is read, and where its results are written.

    Attributes:
        scan: Path on the disk.
        out: Folder of the results.
        kept: Whether that folder is kept.
        deliver: Sends its DICOM files to the server; does nothing for a scan from the disk.
    """

    scan: Path
    out: Path
    kept: bool = True
    deliver: Callable[[], None] = lambda: None


def is_remote(scan: Path) -> bool:
    """Return whether a scan is on a DICOMweb server."""
    return str(scan).startswith(_PREFIX)


@contextmanager
def places(
    scan: Path,
    out: Path | None,
    *,
    formats: Sequence[str],
    study: str | None,
    series: str | None,
    store: bool,
    token: str | None,
) -> Iterator[Places]:
    """Yield the place of a scan; one on a DICOMweb server is fetched into a temporary folder.

    Args:
        scan: A path, or dicomweb:URL.
        out: Folder for the results; None if they are only sent to the server.
        formats: Formats of the results.
        study: UID of the study, for a server.
        series: As for `segment --series`.
        store: Whether to send the results to the server.
        token: Bearer token for the server.

    Raises:
        OutputError: There is no folder for the results.
        PacsError: An option is missing or does not fit, or the server cannot be used.
    """
    remote = is_remote(scan)
    if not remote and (store or study is not None):
        raise PacsError("--study and --store need a scan of a DICOMweb server, dicomweb:URL. Leave them out.")
    if out is None and not store:
        raise OutputError("Give --out, a folder for the results." + (" Or give --store." if remote else ""))
    if not remote:
        yield Places(scan, out or Path())
        return
    if study is None:
        raise PacsError("A DICOMweb server holds many studies. Give --study with the UID of one.")
    if store and set(formats) == {"nifti"}:
        raise PacsError("A DICOMweb server accepts no NIfTI. Give --format dicom-seg, or leave --format out.")
    from pancascade.services.pacs.dicomweb import DicomWeb, Login

    server = DicomWeb(_address(scan), Login(token, os.environ.get(LOGIN)))
    with TemporaryDirectory(prefix="pancascade-") as folder:
        fetched, results = Path(folder) / "study", out or Path(folder) / "results"
        fetched.mkdir()
        server.fetch(study, fetched, series=series)

        def deliver() -> None:
            if store:
                server.store(_objects_in(results))

        yield Places(fetched, results, out is not None, deliver)


def _objects_in(results: Path) -> list[Path]:
    """Return the DICOM files of a result; other files in its folder are not sent."""
    from pancascade.segmentation.segmentation import FILES

    return [results / name for name in FILES if name.endswith(".dcm") and (results / name).exists()]


def _address(scan: Path) -> str:
    found = _ADDRESS.fullmatch(scan.as_posix())
    if found is None:
        raise PacsError("dicomweb: give the address as dicomweb:http://HOST:PORT/PATH, or with https.")
    return f"{found['scheme']}://{found['rest']}"
