"""Download of collections of The Cancer Imaging Archive, series by series, through its public service."""

import hashlib
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import urlencode
from zipfile import ZipFile

from pancascade.data.fetching.download import Progress, download, open_url
from pancascade.data.fetching.sources import Collection
from pancascade.errors import DataError, FetchError, OutputError
from pancascade.files.archives import ARCHIVE_FAULTS
from pancascade.files.csv_tables import read_cells
from pancascade.files.documents import parse_json, reason

HASHES, INCOMING = "md5hashes.csv", ".incoming-"
SAFE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
GIVES_UP_AFTER = 3
"""Number of successive failed series after which the run stops."""


def fetch_collection(collection: Collection, folder: Path, *, progress: Progress | None = None) -> int:
    """Download the missing series of a collection into ``COLLECTION/PATIENT/SERIES``.

    A failed series leaves no files. The number of images and the MD5 of each file, both from the archive, must match.
    A failed series does not stop the others, unless several fail in a row.

    Args:
        collection: The collection.
        folder: Target folder; created if missing.
        progress: Called with the patient's name after each block, and with the number of finished series.

    Returns:
        Number of series that exist locally now.

    Raises:
        FetchError: The archive cannot be reached or lists no such series, or series failed.
        OutputError: The folder cannot be written.
    """
    listed = _series(collection)
    failures: list[str] = []
    in_a_row = 0
    for number, series in enumerate(listed):
        place = folder / collection.name / str(series["PatientID"]) / str(series["SeriesInstanceUID"])
        if progress is not None:
            progress("series", number, len(listed))
        if place.is_dir():
            continue
        try:
            _fetch_series(collection, series, place, progress=progress)
            in_a_row = 0
        except FetchError as error:
            failures.append(str(error))
            in_a_row += 1
            if in_a_row >= GIVES_UP_AFTER:
                break
    if failures:
        raise FetchError(
            f"{collection.name}: {len(failures)} of {len(listed)} series failed. Run the same command again; it goes "
            f"on with what is missing. The first reason: {failures[0]}"
        )
    return len(listed)


def _series(collection: Collection) -> list[Mapping[str, Any]]:
    url = f"{collection.api}/getSeries?{urlencode({'Collection': collection.name, 'format': 'json'})}"
    with open_url(url) as response:
        text = response.read()
    try:
        rows = parse_json(text) if text.strip() else []
        found = [row for row in rows if row["Modality"] in collection.modalities]
        strange = [
            f"{key} of series {number}"
            for number, row in enumerate(found, 1)
            for key in ("PatientID", "SeriesInstanceUID")
            if not SAFE.fullmatch(row[key])
        ]
    except (ValueError, KeyError, TypeError) as error:
        raise FetchError(f"{url}: the answer is no list of series ({reason(error)}). Download by hand.") from error
    if not found or strange:
        what = f"a strange name ({strange[0]})" if strange else f"no {' or '.join(collection.modalities)}"
        raise FetchError(f"{url}: the archive lists {what}. Download by hand.")
    return sorted(found, key=lambda row: (row["PatientID"], row["SeriesInstanceUID"]))


def _fetch_series(collection: Collection, series: Mapping[str, Any], place: Path, *, progress: Progress | None) -> None:
    url = f"{collection.api}/getImageWithMD5Hash?{urlencode({'SeriesInstanceUID': series['SeriesInstanceUID']})}"
    patient = str(series["PatientID"])

    def show(_: str, done: int, total: int | None) -> None:
        if progress is not None:
            progress(patient, done, total)

    place.parent.mkdir(parents=True, exist_ok=True)
    try:
        for left_over in place.parent.glob(f"{INCOMING}*"):  # left by a killed run
            shutil.rmtree(left_over)
        with TemporaryDirectory(prefix=INCOMING, dir=place.parent) as hidden:
            archive, draft = Path(hidden) / "series.zip", Path(hidden) / "series"
            download(url, archive, room_factor=2.5, progress=show)
            with ZipFile(archive) as packed:
                packed.extractall(draft)
            _require_whole(draft, series, url)
            shutil.move(draft, place)
    except ARCHIVE_FAULTS as error:
        raise FetchError(f"{url}: the archive sent a damaged file ({error}). Run again.") from error
    except OSError as error:
        raise OutputError(f"{place}: cannot be written ({error.strerror or error}). Choose another --out.") from error


def _require_whole(draft: Path, series: Mapping[str, Any], url: str) -> None:
    hashes = draft / HASHES
    if hashes.is_file():
        try:
            rows = [row for row in read_cells(hashes) if len(row) >= 2]
        except DataError as error:
            raise FetchError(f"{HASHES}: the archive sent damaged checksums. Run again.") from error
        for name, wanted in (row[:2] for row in rows if re.fullmatch("[0-9a-fA-F]{32}", row[1])):
            file = draft / Path(name).name
            if not file.is_file() or _md5(file) != wanted.lower():
                raise FetchError(f"{url}: {name} is missing, or its MD5 is not the archive's. Run again.")
        hashes.unlink()
    images = [path for path in draft.rglob("*") if path.is_file() and "LICENSE" not in path.name.upper()]
    count = series.get("ImageCount")
    if not images or (count is not None and len(images) != int(count)):
        raise FetchError(f"{url}: {len(images)} images came, the archive counts {count}. Run again.")


def _md5(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
