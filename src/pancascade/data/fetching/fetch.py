"""Fetching of a public data set into a folder: download, unpacking, counts, and a record of its licence."""

import json
import shutil
import tarfile
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from zipfile import ZipFile

from pancascade.data.fetching.download import Progress, download
from pancascade.data.fetching.sources import RemoteFile, Source
from pancascade.data.fetching.tcia import INCOMING, fetch_collection
from pancascade.errors import FetchError, OutputError
from pancascade.files.archives import ARCHIVE_FAULTS
from pancascade.files.atomic import written_whole
from pancascade.files.documents import read_json
from pancascade.files.made_folders import made_by, remove_empty

RECEIPT = "fetched.json"
"""File beside the data that records sources and licences."""


def fetch(source: Source, out: Path, *, progress: Progress | None = None) -> Path:
    """Download the missing files of a data set, unpack them, and record their source.

    An archive is removed after unpacking. A second run continues where the first one stopped.

    Args:
        source: The data set.
        out: Folder for data sets; created if missing.
        progress: Called with the current action, the amount done, and the total.

    Returns:
        The data set's folder.

    Raises:
        FetchError: The data set needs a manual download, the server fails, or a file is damaged.
        OutputError: The folder cannot be written, or the disk is too small.
    """
    if not source.unattended:
        raise FetchError(f"{source.name}: can only be downloaded by hand. {source.by_hand} See {source.page}.")
    folder = out / source.folder
    made = made_by(folder)
    try:
        _fetch_into(folder, source, progress=progress)
    finally:
        remove_empty(made)
    return folder


def _fetch_into(folder: Path, source: Source, *, progress: Progress | None) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{folder}: cannot be made ({error.strerror}). Choose another --out.") from error
    if source.collection is not None:
        fetch_collection(source.collection, folder, progress=progress)
        _sign(source, folder, source.collection.name, {"collection": source.collection.name})
    for file in source.files:
        if _signed(folder, source, file.file_name) != _origin(file):
            _fetch_file(file, folder, progress=progress)
            _sign(source, folder, file.file_name, _origin(file))


def missing_of(source: Source, folder: Path) -> list[str]:
    """Return one sentence per kind of file whose number in the folder differs from the known number."""
    reported = []
    for expected in source.expected:
        found = sum(1 for path in folder.glob(expected.pattern) if not path.name.startswith("."))
        if found != expected.number:
            reported.append(f"{expected.what}: {found} found, {expected.number} known ({folder / expected.pattern}).")
    return reported


def _fetch_file(file: RemoteFile, folder: Path, *, progress: Progress | None) -> None:
    archive = folder / file.file_name
    packed = file.file_name.lower().endswith((".zip", ".tar", ".tar.gz", ".tgz"))
    if not archive.is_file():
        download(file.url, archive, checksum=file.checksum, room_factor=2.0 if packed else 1.0, progress=progress)
    if packed:
        _unpack(archive, folder / file.unpack_to, progress=progress)


def _unpack(archive: Path, target: Path, *, progress: Progress | None) -> None:
    if progress is not None:
        progress("unpack", 0, None)
    try:
        target.mkdir(parents=True, exist_ok=True)
        for left_over in target.glob(f"{INCOMING}*"):  # left by a killed run
            shutil.rmtree(left_over)
        with TemporaryDirectory(prefix=INCOMING, dir=target) as hidden:
            draft = Path(hidden)
            if archive.suffix.lower() == ".zip":
                with ZipFile(archive) as packed:
                    packed.extractall(draft)
            else:
                with tarfile.open(archive) as tape:
                    tape.extractall(draft, filter="data")
            for path in sorted(path for path in draft.rglob("*") if path.is_file()):
                place = target / path.relative_to(draft)
                place.parent.mkdir(parents=True, exist_ok=True)
                shutil.move(path, place)
        archive.unlink()
    except (*ARCHIVE_FAULTS, tarfile.TarError) as error:
        archive.unlink(missing_ok=True)
        raise FetchError(f"{archive}: is damaged ({error}), and was removed. Run again.") from error
    except OSError as error:
        raise OutputError(f"{target}: cannot be written ({error.strerror or error}). Choose another --out.") from error


def _origin(file: RemoteFile) -> dict[str, Any]:
    return {"url": file.url, "checksum": file.checksum}


def _signed(folder: Path, source: Source, name: str) -> Any:
    return _receipt(folder).get(source.name, {}).get("files", {}).get(name)


def _receipt(folder: Path) -> dict[str, Any]:
    try:
        content = read_json(folder / RECEIPT)
        return {name: one for name, one in content.items() if isinstance(one["files"], dict)}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}


def _sign(source: Source, folder: Path, name: str, origin: dict[str, Any]) -> None:
    content = _receipt(folder)
    entry = content.setdefault(source.name, {"files": {}})
    entry |= {key: getattr(source, key) for key in ("title", "licence", "licence_url", "attribution", "page")}
    entry["files"][name] = origin
    with written_whole(folder / RECEIPT) as temporary:
        temporary.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
