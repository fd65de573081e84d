"""Manifest of a store (``manifest.json``)."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError

from pancascade.data.store.options import PrepareOptions
from pancascade.data.store.prepared_case import FileDigest, SliceCounts
from pancascade.errors import DataError
from pancascade.files.atomic import written_whole
from pancascade.files.digests import text_digest
from pancascade.files.documents import read_json
from pancascade.settings import Settings

FORMAT = 1
"""Increased when the layout of stores changes; stores of another number are refused."""

MANIFEST = "manifest.json"
SEAL = "digest"
"""Key of the digest of all other content. Older stores do not have it."""

ABOUT: Literal["pancascade store"] = "pancascade store"


class CaseFailure(Settings):
    """A case that is missing in the store, and the reason."""

    case: str
    message: str


class PublishedCount(Settings):
    """A number that a paper gives, and the number found here.

    Attributes:
        what: The counted items.
        found: Number here; a range as text.
        published: Number in the paper.
        paper: The paper.
        differs: Whether the numbers differ.
    """

    what: str
    found: str
    published: str
    paper: str
    differs: bool

    @property
    def sentence(self) -> str:
        """Return both numbers in one sentence."""
        return f"{self.what}: found {self.found}, {self.paper} gives {self.published}."


class StoreCounts(SliceCounts):
    """Sums over a store.

    Attributes:
        cases: Number of cases in the store.
        size_bytes: Size of all files except the manifest and the records.
    """

    cases: int = 0
    size_bytes: int = 0


class CaseFiles(Settings):
    """Source files and written files of a case."""

    source: tuple[FileDigest, ...]
    files: tuple[FileDigest, ...]


class Manifest(Settings):
    """Content and options of a store; the same source and options give the same manifest.

    Attributes:
        about: Distinguishes it from other files of this name.
        format: Number of the layout of a store.
        state: ``unfinished`` while the store is being made or after an interruption.
        options: Options of the preparation.
        sources: Names of the data sets.
        versions: Versions of the software.
        counts: Sums over all cases.
        failures: Cases that are missing in the store.
        published: Numbers of the papers and numbers found.
        index: Index files.
        cases: Files by case.
    """

    about: Literal["pancascade store"] = ABOUT
    format: int = FORMAT
    state: Literal["unfinished", "finished"]
    options: PrepareOptions
    sources: tuple[str, ...]
    versions: dict[str, str] = Field(default_factory=dict)
    counts: StoreCounts = StoreCounts()
    failures: tuple[CaseFailure, ...] = ()
    published: tuple[PublishedCount, ...] = ()
    index: tuple[FileDigest, ...] = ()
    cases: dict[str, CaseFiles] = Field(default_factory=dict)

    @property
    def files(self) -> list[FileDigest]:
        """Return all written files except the manifest itself and the records."""
        return [*self.index, *(file for case in self.cases.values() for file in case.files)]


def _seal_of(content: Mapping[str, Any]) -> str:
    """Return the digest of a manifest's content, independent of its formatting."""
    return text_digest(json.dumps(content, sort_keys=True))


def is_store(folder: Path) -> bool:
    """Return whether a folder has the manifest of a store."""
    try:
        content = read_json(folder / MANIFEST)
    except (OSError, ValueError):
        return False
    return isinstance(content, dict) and content.get("about") == ABOUT


def read_manifest(folder: Path) -> Manifest:
    """Read the manifest of a store.

    Raises:
        DataError: The manifest is missing or damaged, or has another format.
    """
    path = folder / MANIFEST
    try:
        content = read_json(path)
        if not isinstance(content, dict) or content.get("about") != ABOUT:
            raise DataError(f"{path}: not the manifest of a store. Give a folder that `pancascade data prepare` made.")
        if content.get("format") != FORMAT:
            raise DataError(
                f"{path}: a store of format {content.get('format')}, and this version reads {FORMAT}. "
                "Prepare the data set again into a new folder."
            )
        seal = content.pop(SEAL, None)
        if seal is not None and seal != _seal_of(content):
            raise DataError(f"{path.name}: damaged, it is not as it was written. Prepare the data set again.")
        return Manifest.model_validate(content)
    except FileNotFoundError as error:
        raise DataError(
            f"{path}: no such file. Give a folder that `pancascade data prepare` made, or prepare the data set."
        ) from error
    except (OSError, ValueError, ValidationError) as error:
        raise DataError(f"{path}: damaged ({type(error).__name__}). Prepare the data set again.") from error


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Write the manifest atomically.

    Raises:
        OutputError: The manifest cannot be written.
    """
    with written_whole(folder / MANIFEST) as temporary:
        content = manifest.model_dump(mode="json")
        text = json.dumps({**content, SEAL: _seal_of(content)}, indent=1, ensure_ascii=False)
        temporary.write_text(text + "\n", encoding="utf-8")
