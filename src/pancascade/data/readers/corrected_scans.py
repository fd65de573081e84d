"""Search for the scans of corrected results: beside them, in a list, in a folder, or at the original place."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pancascade.errors import DataError, ScanError
from pancascade.files.csv_tables import TableRow, read_table
from pancascade.files.file_names import READABLE_SUFFIXES, case_key, find_path, is_file, there
from pancascade.files.folders import files_below
from pancascade.files.scan_place import places_of_scan
from pancascade.imaging.io import read_volume
from pancascade.imaging.volume.digest import volume_digest
from pancascade.results.corrections import SegmentedScan

BESIDE = "scan.nii.gz"
"""Name of a scan stored beside its result."""

LIST = "scans.csv"


@dataclass
class KnownScans:
    """Scans of a list or folder.

    Attributes:
        rows: Rows of the list, by the key of the case's name.
        root: Folder that the list's paths are relative to.
        files: Files of the folder by the key of the file's name; None for ambiguous names.
        every: All files of the folder.
        digests: Files by digest; None before the files were read.
    """

    rows: Mapping[str, TableRow] = field(default_factory=dict)
    root: Path = Path()
    files: Mapping[str, Path | None] = field(default_factory=dict)
    every: tuple[Path, ...] = ()
    digests: dict[str, Path] | None = None

    @classmethod
    def read(cls, results: Path, scans: Path | None) -> "KnownScans":
        """Return the scans of a list or folder; no scan is opened.

        Args:
            results: Folder of the results, which may contain ``scans.csv``.
            scans: The list or folder; None uses ``scans.csv``, if it exists.

        Raises:
            DataError: There is no such list or folder, or the list is damaged.
        """
        if scans is None:
            scans = results / LIST
            if not is_file(scans):
                return cls()
        if scans.is_dir():
            return cls._of_folder(scans)
        if not is_file(scans):
            raise DataError(f"{scans}: no such file or folder. Give --scans the folder of the scans, or a CSV.")
        rows: dict[str, TableRow] = {}
        for row in read_table(scans, required=("case", "input")):
            if rows.setdefault(case_key(row["case"]), row) is not row:
                raise row.fault("names its case a second time. Remove one of the lines.")
        return cls(rows=rows, root=scans.parent)

    @classmethod
    def _of_folder(cls, folder: Path) -> "KnownScans":
        every = tuple(sorted(path for path in files_below(folder) if path.name.lower().endswith(READABLE_SUFFIXES)))
        files: dict[str, Path | None] = {}
        for path in every:
            key = case_key(path.name)
            files[key] = None if key in files else path
        return cls(files=files, every=every)

    def find(self, result: Path, scan: SegmentedScan, *, names: tuple[str, ...]) -> Path | None:
        """Return the path of a result's scan; None if it is not found.

        Args:
            result: Folder of the result.
            scan: The result's record of its scan.
            names: Further names of the scan in a list or folder.
        """
        if is_file(result / BESIDE):
            return result / BESIDE
        row = self._row(*names)
        if row is not None:
            return find_path(self.root, row.file_name("input"))
        for name in (*names, scan.scan):
            named = self.files.get(case_key(name))
            if named is not None:
                return named
        if scan.scan_digest is not None and self.every:
            return self._by_digest().get(scan.scan_digest)
        places = [] if scan.scan_place is None else list(places_of_scan(scan.scan_place, seen_from=result))
        return next((path for path in places if there(path)), None)

    def patient(self, *names: str) -> str | None:
        """Return the patient of a scan in the list; None if the list gives none."""
        row = self._row(*names)
        return None if row is None else row["patient"] or None

    def series(self, *names: str) -> str | None:
        """Return the DICOM series of a scan in the list; None if the list gives none."""
        row = self._row(*names)
        return None if row is None else row["series"] or None

    def _row(self, *names: str) -> TableRow | None:
        return next((self.rows[case_key(name)] for name in names if case_key(name) in self.rows), None)

    def _by_digest(self) -> dict[str, Path]:
        """Return all scans of the folder by digest; each is read once."""
        if self.digests is None:
            self.digests = {}
            for path in self.every:
                try:
                    self.digests.setdefault(volume_digest(read_volume(path)), path)
                except ScanError:  # no readable scan
                    continue
        return self.digests
