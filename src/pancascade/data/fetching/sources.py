"""Public data sets: what they are, where they lie, and on which terms; the table is ``sources.yaml``."""

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
        url: Where it lies.
        name: Under which it is kept; empty takes the last part of the address.
        checksum: As ``md5:…`` or ``sha256:…``; None where nobody publishes one.
        checksum_of: Who publishes it.
        unpack_to: Folder that a .zip or .tar is unpacked to, below the data set's own.
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
        """Under which it is kept."""
        return self.name or PurePosixPath(urlparse(self.url).path).name


class Collection(Settings):
    """A public collection of The Cancer Imaging Archive.

    Attributes:
        name: Its name there.
        modalities: Kinds of series that are taken.
        api: The archive's service.
    """

    name: Below
    modalities: tuple[str, ...] = ("CT",)
    api: Address = NBIA


class Expected(Settings):
    """What must be there afterwards.

    Attributes:
        pattern: Of paths below the data set's folder.
        number: How many.
        what: They are, in words.
    """

    pattern: str
    number: int
    what: str


class Source(Settings):
    """A public data set.

    Attributes:
        name: As given to ``pancascade data fetch``.
        title: For people.
        what: What it shows, and what to beware of.
        patients: How many, in words.
        size: Of the download, in words.
        licence: Its name.
        licence_url: Its text.
        attribution: What to cite wherever the data or what is made of it go.
        page: Where people get it.
        by_hand: How to get it without this command.
        folder: Below ``--out``.
        data_set: Folder that is read as the data set afterwards, below `folder`; None where no reader fits.
        files: Downloaded unattended.
        collection: Downloaded unattended from The Cancer Imaging Archive.
        expected: What must be there afterwards.
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
        """Whether this command can download it."""
        return bool(self.files) or self.collection is not None


def known_sources(table: Path | None = None) -> list[Source]:
    """The data sets of a table.

    Args:
        table: YAML file like ``sources.yaml``, such as one with the addresses of a mirror; None takes that one.

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
    """A data set by name.

    Raises:
        DataError: There is none of that name, or the table is damaged.
    """
    found = {source.name: source for source in known_sources(table)}
    if name not in found:
        raise DataError(f"{name}: no data set of that name is known; known are {', '.join(found)}.")
    return found[name]
