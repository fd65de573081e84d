"""Manifest of a store (``manifest.json``)."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError

from pancascade.data.store.options import PrepareOptions
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


class FileDigest(Settings):
    """A file and its content.

    Attributes:
        path: Below the store's folder, or the source's; parts joined by a slash.
        digest: As of `pancascade.files.digests.content_digest`.
        size: In bytes; None for a source, which may be a folder.
    """

    path: str
    digest: str
    size: int | None = None


class StoreGrid(Settings):
    """Where the voxels of a volume lie.

    Attributes:
        shape: (I, J, K).
        affine: Rows of the (4, 4) matrix from voxel index to RAS+ mm.
        orientation: Where the three axes point.
        spacing_mm: Along the three axes.
    """

    shape: tuple[int, int, int]
    affine: tuple[tuple[float, float, float, float], ...]
    orientation: str
    spacing_mm: tuple[float, float, float]


class SliceCounts(Settings):
    """How many slices there are, and what they show; a tumour belongs to the pancreas."""

    slices: int = 0
    with_pancreas: int = 0
    with_tumour: int = 0


class PreparedSlice(Settings):
    """One slice of a store.

    Attributes:
        name: As its source called it.
        position: Row of the case's arrays; 0 for a picture.
        number: From the feet, counted from 0; None where the source does not tell.
        z_mm: Of the slice's centre, towards the head; None where the source does not tell.
        shape: Rows and columns.
        spacing_mm: Of rows and columns.
        pancreas_pixels: Tumour included.
        tumour_pixels: Of these.
        image: File below the store's folder.
        labels: File below the store's folder.
    """

    name: str
    position: int
    number: int | None
    z_mm: float | None
    shape: tuple[int, int]
    spacing_mm: tuple[float, float] | None
    pancreas_pixels: int
    tumour_pixels: int
    image: str
    labels: str


class PreparedCase(Settings):
    """One case of a store.

    Attributes:
        name: Unique in the store.
        patient: Whose it is.
        source: Name of the data set.
        slices: From the feet up.
        grid: Of the whole volume in the store, axes to left, posterior, superior; None for single slices.
        scan_grid: Of the scan it was made from.
        pancreas_ml: In the scan, tumour included.
        tumour_ml: Of these.
        found: What the source has, before resampling and before slices were left out.
        source_files: What it was made from.
        files: What was written.
    """

    name: str
    patient: str
    source: str
    slices: tuple[PreparedSlice, ...]
    grid: StoreGrid | None
    scan_grid: StoreGrid | None
    pancreas_ml: float | None
    tumour_ml: float | None
    found: SliceCounts
    source_files: tuple[FileDigest, ...]
    files: tuple[FileDigest, ...]

    @property
    def counts(self) -> SliceCounts:
        """What the store has of it."""
        return SliceCounts(
            slices=len(self.slices),
            with_pancreas=sum(one.pancreas_pixels > 0 for one in self.slices),
            with_tumour=sum(one.tumour_pixels > 0 for one in self.slices),
        )


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
