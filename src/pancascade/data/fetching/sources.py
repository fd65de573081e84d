"""Public data sets with addresses and licences; the table is ``sources.yaml``."""

import re
from importlib.resources import files
from pathlib import Path, PurePosixPath
from typing import Annotated
from urllib.parse import urlparse

from pydantic import AfterValidator, Field, ValidationError, field_validator

from pancascade.errors import DataError
from pancascade.files.documents import first_fault, reason
from pancascade.files.yaml_documents import read_yaml
from pancascade.settings import Settings

NBIA = "https://services.cancerimagingarchive.net/nbia-api/services/v1"
"""The Cancer Imaging Archive's service for collections that need no account."""


def _below(path: str) -> str:
    parts = PurePosixPath(path).parts
    if PurePosixPath(path).is_absolute() or ".." in parts or "\\" in path:
        raise ValueError("must be a path below the --out folder")
    return path


Address = Annotated[str, Field(pattern=r"^https?://")]
Below = Annotated[str, AfterValidator(_below)]


class RemoteFile(Settings):
    """One file of a data set.

    Attributes:
        url: Address of the file.
        name: Local name; empty takes the last part of the address.
        checksum: As ``md5:…`` or ``sha256:…``; None if none is published.
        checksum_of: Publisher of the checksum.
        unpack_to: Folder for the content of a .zip or .tar, below the data set's folder.
    """

    url: Address
    name: Below = ""
    checksum: str | None = None
    checksum_of: str = ""
    unpack_to: Below = "."

    @field_validator("checksum")
    @classmethod
    def _is_a_checksum(cls, checksum: str | None) -> str | None:
        if checksum is not None and not re.fullmatch(r"md5:[0-9a-f]{32}|sha256:[0-9a-f]{64}", checksum):
            raise ValueError("must be md5: with 32 or sha256: with 64 hexadecimal digits")
        return checksum

    @property
    def file_name(self) -> str:
        """Local name of the file."""
        return self.name or PurePosixPath(urlparse(self.url).path).name


class Collection(Settings):
    """A public collection of The Cancer Imaging Archive.

    Attributes:
        name: Name of the collection in the archive.
        modalities: Modalities of the series to download.
        api: Address of the archive's service.
    """

    name: Below
    modalities: tuple[str, ...] = ("CT",)
    api: Address = NBIA


class Expected(Settings):
    """Files that must exist after a download.

    Attributes:
        pattern: Glob pattern of paths below the data set's folder.
        number: Number of matching files.
        what: Description of the files.
    """

    pattern: str
    number: int
    what: str


class Source(Settings):
    """A public data set.

    Attributes:
        name: Name for ``pancascade data fetch``.
        title: Title for display.
        what: Content of the data set, and cautions.
        patients: Number of patients, in words.
        size: Size of the download, in words.
        licence: Name of the licence.
        licence_url: Address of the licence text.
        attribution: Citation required with the data and all derived results.
        page: Web page of the data set.
        by_hand: Instructions for a manual download.
        folder: Folder below ``--out``.
        data_set: Folder below `folder` that a reader takes as data set; None if no reader fits.
        files: Files to download.
        collection: Collection to download from The Cancer Imaging Archive.
        expected: Files that must exist after the download.
    """

    name: str
    title: str
    what: str
    patients: str
    size: str
    licence: str
    licence_url: Address
    attribution: str
    page: Address
    by_hand: str
    folder: Below
    data_set: Below | None = None
    files: tuple[RemoteFile, ...] = ()
    collection: Collection | None = None
    expected: tuple[Expected, ...] = ()

    @property
    def unattended(self) -> bool:
        """Whether the command can download it without manual steps."""
        return bool(self.files) or self.collection is not None


def known_sources(table: Path | None = None) -> list[Source]:
    """Return the data sets of a table.

    Args:
        table: YAML file like ``sources.yaml``, e.g. with addresses of a mirror; None takes ``sources.yaml``.

    Raises:
        DataError: The table is damaged.
    """
    path = Path(str(files("pancascade.data.fetching") / "sources.yaml")) if table is None else table
    try:
        rows = read_yaml(path)
        return [Source.model_validate(row) for row in rows]
    except ValidationError as error:
        raise DataError(f"{path.name}: {first_fault(error)}.") from error
    except (OSError, ValueError, TypeError) as error:
        raise DataError(f"{path.name}: not a readable table of data sets ({reason(error)}).") from error


def find_source(name: str, table: Path | None = None) -> Source:
    """Return a data set by name.

    Raises:
        DataError: No data set has this name, or the table is damaged.
    """
    found = {source.name: source for source in known_sources(table)}
    if name not in found:
        raise DataError(f"{name}: no data set of that name is known; known are {', '.join(found)}.")
    return found[name]
