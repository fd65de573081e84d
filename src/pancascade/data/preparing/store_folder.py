"""Folder of a store: initialisation, removal of files of killed runs, verification by its manifest."""

import re
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

from pancascade.data.preparing.prepare_case import read_record
from pancascade.data.store.manifest import MANIFEST, Manifest, is_store, read_manifest, write_manifest
from pancascade.data.store.names import FOLDERS, RECORDS, record_of
from pancascade.errors import DataError, OutputError
from pancascade.files.digests import content_digest
from pancascade.files.output_lock import LOCK

_HALF_WRITTEN = re.compile(r"\.[0-9a-f]{8}\..+")


def claim(out: Path, manifest: Manifest) -> None:
    """Mark a folder as an unfinished store, if it is new, empty, or a store of the same cases and options.

    Args:
        out: The folder.
        manifest: Manifest of the intended store.

    Raises:
        DataError: The folder is something else, or a store of other cases or options.
        OutputError: The folder cannot be written.
    """
    try:
        content = [path for path in out.iterdir() if not _is_passing(path)] if out.is_dir() else []
    except OSError as error:
        raise OutputError(f"{out}: cannot be read ({error.strerror}). Choose another folder.") from error
    if content and not is_store(out):
        raise DataError(f"{out}: not empty, and no store. Choose a new folder.")
    if content:
        found = read_manifest(out)
        differing = _differing(found, manifest)
        if differing:
            raise DataError(f"{out}: a store with {differing}. Choose another folder, or delete this one.")
    write_manifest(out, manifest)


def _is_passing(path: Path) -> bool:
    return path.name == LOCK or _HALF_WRITTEN.fullmatch(path.name) is not None


def _differing(found: Manifest, wanted: Manifest) -> str:
    """Return the first difference of two stores in words; empty if there is none."""
    if found.sources != wanted.sources:
        return f"cases of {', '.join(found.sources)}, not of {', '.join(wanted.sources)}"
    theirs, ours = found.options.model_dump(), wanted.options.model_dump()
    theirs, ours = theirs | theirs.pop("reading"), ours | ours.pop("reading")
    return next((f"{key} {theirs[key]}, not {ours[key]}" for key in ours if theirs[key] != ours[key]), "")


def sweep(out: Path, names: Sequence[str]) -> tuple[str, ...]:
    """Remove partial files of killed runs and cases no longer in the data set; return the cases' names.

    Files of a case that failed in this run stay, as its source may become readable again.

    Args:
        out: Folder of the store.
        names: Names of all cases of the data set.

    Raises:
        OutputError: A file cannot be removed.
    """
    wanted, removed = {MANIFEST}, []
    expected = {record_of(out, name).name for name in names}
    for path in sorted((out / RECORDS).glob("*.json")):
        record = read_record(path)
        if path.name not in expected:
            removed.append(path.stem if record is None else record[1].name)
        elif record is not None:
            wanted |= {f"{RECORDS}/{path.name}", *(file.path for file in record[1].files)}
    for folder in FOLDERS:
        for path in (out / folder).glob("*") if (out / folder).is_dir() else ():
            if f"{folder}/{path.name}" not in wanted:
                shutil.rmtree(path) if path.is_dir() else path.unlink()
    for path in out.iterdir():
        if _HALF_WRITTEN.fullmatch(path.name) and path.is_file():
            path.unlink()
    return tuple(sorted(removed))


def verify(store: Path, *, progress: Callable[[int, int], None] | None = None) -> list[str]:
    """Verify the files of a store; return one sentence per missing or changed file, by its place in the store.

    Args:
        store: Folder of the store.
        progress: Called with the number of checked files and of all files.

    Raises:
        DataError: The folder is no store, or an unfinished one.
    """
    manifest = read_manifest(store)
    if manifest.state != "finished":
        raise DataError(f"{store}: preparing was interrupted. Run `pancascade data prepare` again; it continues.")
    faults = []
    for done, file in enumerate(manifest.files, start=1):
        path = store / file.path
        if not path.is_file():
            faults.append(f"{file.path}: missing. Prepare the data set again; it will be redone.")
        elif content_digest(path) != file.digest:
            faults.append(f"{file.path}: not as it was written. Delete it and prepare the data set again.")
        if progress is not None:
            progress(done, len(manifest.files))
    return faults
