"""The scans of the server: those in a folder of studies, and those that were sent.

Their ids are made here. A client's name for a scan is stored only as a digest. A scan that was read is stored as NIfTI
without information about the patient.
"""

import json
import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Lock, RLock
from typing import Any

from pancascade.errors import DataError, ScanError
from pancascade.files.atomic import written_whole
from pancascade.files.digests import text_digest
from pancascade.files.documents import read_json
from pancascade.imaging.io import read_volume, require_ct, write_nifti
from pancascade.imaging.io.dicom.dicom_files import looks_like_dicom
from pancascade.imaging.io.dicom.search import search
from pancascade.imaging.volume import Volume
from pancascade.imaging.volume.digest import volume_digest
from pancascade.segmentation.batch.dicom_studies import read_study
from pancascade.segmentation.batch.inputs import find_inputs
from pancascade.segmentation.batch.scan_input import ScanInput
from pancascade.services.server.faults import RequestError

SCAN = "scan.nii.gz"
_RECORD = "image.json"
_UID = re.compile(r"\d+(\.\d+){3,}")
_DIGITS = 12
_MOST_NAMES = 50


@dataclass(frozen=True)
class _Known:
    """A scan of the studies and, for DICOM, the series that a viewer requested."""

    scan: ScanInput
    series: str | None = None


class Images:
    """All scans by id. Safe to use from any thread.

    Args:
        folder: Folder in which scans are stored.
        studies: Folders or files of existing scans.

    Raises:
        PancascadeError: The studies cannot be read.
    """

    def __init__(self, folder: Path, studies: Sequence[Path] = ()) -> None:
        self._folder = folder
        self._lock = RLock()
        self._locks: defaultdict[str, Lock] = defaultdict(Lock)
        self._studies = {scan.case: _Known(scan) for scan in _inputs(studies)}
        self._of_series: dict[str, str] | None = None
        self._names: dict[str, str] = {}
        self._sent: set[str] = set()
        self.info: dict[str, dict[str, Any]] = defaultdict(dict)
        for record in sorted(folder.glob(f"*/{_RECORD}")):
            self._sent.add(record.parent.name)
            self._names.update(dict.fromkeys(_names_in(record), record.parent.name))

    def ids(self) -> list[str]:
        """Return all ids, sorted."""
        with self._lock:
            return sorted({*(key for key, known in self._studies.items() if known.series is None), *self._sent})

    def id_of(self, name: str) -> str:
        """Return the id for a client's name: an id, an earlier name of the client, or the UID of a DICOM series.

        Raises:
            RequestError: There is no such scan.
        """
        with self._lock:
            if name in self._studies or name in self._sent:
                return name
            found = self._names.get(text_digest(name))
            if found is None and _UID.fullmatch(name):
                found = self._series().get(text_digest(name))
            if found is None:
                raise _no_such_image()
            return found

    def lock_of(self, image: str) -> Lock:
        """Return the lock for work on a scan."""
        with self._lock:
            return self._locks[image]

    def scan(self, image: str) -> Path:
        """Return the scan as a NIfTI file.

        Raises:
            ScanError: It cannot be read, or is no CT.
            RequestError: It was removed.
        """
        path = self._folder / image / SCAN
        if not path.is_file():
            known = self._studies.get(image)
            if known is None:  # removed meanwhile, or by hand
                raise _no_such_image()
            store(_read(known), path, name=image)
        return path

    def add(self, sent: Path, *, name: str | None) -> str:
        """Store an uploaded scan; the same scan sent again keeps its id.

        Args:
            sent: File, archive or folder; not needed afterwards.
            name: The client's name for it from now on.

        Returns:
            The id of the scan.

        Raises:
            ScanError: It cannot be read, or is no CT.
        """
        volume = _called(sent, "upload")
        image = f"scan-{volume_digest(volume)[:_DIGITS]}"
        with self._lock:
            path = self._folder / image / SCAN
            if not path.is_file():
                store(volume, path, name=image)
            self._sent.add(image)
            if name and name != image:
                self._names[text_digest(name)] = image
            self._write(image)
        return image

    def remove(self, image: str) -> None:
        """Remove an uploaded scan and its file.

        Raises:
            RequestError: It belongs to the studies.
        """
        with self._lock:
            if image not in self._sent:
                raise RequestError(403, "This image is in the folder of studies, which is read-only.")
            self._sent.discard(image)
            self._names = {name: known for name, known in self._names.items() if known != image}
            self.info.pop(image, None)
            for path in (self._folder / image / _RECORD, self._folder / image / SCAN):
                path.unlink(missing_ok=True)
            (self._folder / image).rmdir()

    def _write(self, image: str) -> None:
        names = [name for name, known in self._names.items() if known == image][-_MOST_NAMES:]
        with written_whole(self._folder / image / _RECORD) as temporary:
            temporary.write_text(json.dumps({"names": names}))

    def _series(self) -> dict[str, str]:
        """Return ids by digests of series UIDs; headers are read at the first request by a UID."""
        if self._of_series is None:
            self._of_series = {}
            for known in [known for known in self._studies.values() if looks_like_dicom(known.scan.path)]:
                for series in search(known.scan.path).series:
                    image = f"{known.scan.case}.{text_digest(series.uid)[:4]}"
                    if series.kind == "ct" and self._of_series.setdefault(text_digest(series.uid), image) == image:
                        self._studies.setdefault(image, _Known(known.scan, series.uid))
        return self._of_series


def _no_such_image() -> RequestError:
    return RequestError(404, "There is no such image. Choose one of the datastore, or send it first.")


def store(volume: Volume, path: Path, *, name: str) -> None:
    """Store a scan as NIfTI without information about the patient.

    Raises:
        ScanError: It is no CT.
    """
    require_ct(Volume(volume.voxels, volume.affine, Path(name)))
    write_nifti(volume, path)


def _names_in(record: Path) -> list[str]:
    """Return the digests of a scan's names; empty if unreadable: clients then send the scan again."""
    try:
        names = read_json(record)["names"]
    except (OSError, ValueError, KeyError, TypeError):
        return []
    return [name for name in names if isinstance(name, str)] if isinstance(names, list) else []


def _called(sent: Path, name: str) -> Volume:
    """Read a scan; its errors name it by another name than the client's.

    Raises:
        ScanError: It cannot be read.
    """
    try:
        volume = read_volume(sent)
        return Volume(volume.voxels, volume.affine.astype("float32"), Path(name))
    except ScanError as error:
        raise type(error)(str(error).replace(sent.name, name), code=error.code) from error


def _read(known: _Known) -> Volume:
    scan, series = known.scan, known.series or known.scan.series
    try:
        if scan.study is not None:
            return read_study(scan.path, scan.study, wanted=series)[0]
        return read_volume(scan.path, series=series)
    except ScanError as error:
        raise type(error)(str(error).replace(scan.path.name, scan.case), code=error.code) from error


def _inputs(studies: Sequence[Path]) -> list[ScanInput]:
    try:
        return find_inputs(studies) if studies else []
    except DataError:  # the studies are still empty
        if all(path.is_dir() for path in studies):
            return []
        raise
