"""The index of a store: ``index.parquet``, a row per slice, and ``cases.parquet``, a row per case."""

from collections.abc import Iterable, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from pancascade.data.store.arrays import digest_of, read_intact
from pancascade.data.store.extra import load_extra
from pancascade.data.store.prepared_case import FileDigest, PreparedCase
from pancascade.errors import DataError
from pancascade.files.atomic import written_whole

SLICES, CASES = "index.parquet", "cases.parquet"


def write_index(folder: Path, cases: Sequence[PreparedCase]) -> list[FileDigest]:
    """Write both tables; a failure leaves no partial file.

    Returns:
        The files with their digests.

    Raises:
        OutputError: A file cannot be written.
        DataError: The extra ``data`` is not installed.
    """
    slices = [
        {"case": case.name, "patient": case.patient, "source": case.source, **one.model_dump()}
        for case in cases
        for one in case.slices
    ]
    whole = [{**case.model_dump(exclude={"slices"}), **case.counts.model_dump()} for case in cases]
    return [_write(folder, SLICES, slices), _write(folder, CASES, whole)]


def read_index(folder: Path, files: Sequence[FileDigest]) -> list[PreparedCase]:
    """Read the cases of a store.

    Args:
        folder: Folder of the store.
        files: Files of the index, from the manifest.

    Raises:
        DataError: A table is missing or has changed, or the extra ``data`` is not installed.
    """
    digests = {file.path: file.digest for file in files}
    if not {SLICES, CASES} <= digests.keys():
        raise DataError(f"{folder.name}: its manifest lists no index. Prepare the data set again.")
    rows: dict[str, list[dict[str, Any]]] = {}
    for row in _read(folder / SLICES, digests[SLICES]):
        rows.setdefault(row["case"], []).append({key: row[key] for key in _SLICE_COLUMNS})
    try:
        return [
            PreparedCase.model_validate(
                {key: row[key] for key in _CASE_COLUMNS} | {"slices": rows.get(row["name"], [])}
            )
            for row in _read(folder / CASES, digests[CASES])
        ]
    except (ValidationError, KeyError) as error:
        raise _damaged(folder / CASES) from error


_SLICE_COLUMNS = (
    "name position number z_mm shape spacing_mm pancreas_pixels tumour_pixels image labels".split()  # noqa: SIM905
)
_CASE_COLUMNS = [name for name in PreparedCase.model_fields if name != "slices"]


def _schema(name: str) -> Any:
    """Return the schema of a table; fixed columns and types are the same for every store."""
    pa = load_extra("pyarrow")
    text, whole, real = pa.string(), pa.int64(), pa.float64()
    if name == SLICES:
        columns = [
            *((key, text) for key in ("case", "patient", "source", "name")),
            *((key, whole) for key in ("position", "number")),
            ("z_mm", real),
            ("shape", pa.list_(whole)),
            ("spacing_mm", pa.list_(real)),
            *((key, whole) for key in ("pancreas_pixels", "tumour_pixels")),
            *((key, text) for key in ("image", "labels")),
        ]
        return pa.schema(columns)
    grid = pa.struct(
        [
            ("shape", pa.list_(whole)),
            ("affine", pa.list_(pa.list_(real))),
            ("orientation", text),
            ("spacing_mm", pa.list_(real)),
        ]
    )
    counts = [(key, whole) for key in ("slices", "with_pancreas", "with_tumour")]
    files = pa.list_(pa.struct([("path", text), ("digest", text), ("size", whole)]))
    return pa.schema(
        [
            *((key, text) for key in ("name", "patient", "source")),
            *counts,
            *((key, grid) for key in ("grid", "scan_grid")),
            *((key, real) for key in ("pancreas_ml", "tumour_ml")),
            ("found", pa.struct(counts)),
            *((key, files) for key in ("source_files", "files")),
        ]
    )


def _write(folder: Path, name: str, rows: Iterable[dict[str, Any]]) -> FileDigest:
    parquet = load_extra("pyarrow.parquet")
    table = load_extra("pyarrow").Table.from_pylist(list(rows), schema=_schema(name))
    buffer = BytesIO()
    parquet.write_table(table, buffer, compression="zstd")
    content = buffer.getvalue()
    with written_whole(folder / name) as temporary:
        temporary.write_bytes(content)
    return FileDigest(path=name, digest=digest_of(content), size=len(content))


def _read(path: Path, digest: str) -> list[dict[str, Any]]:
    pa, parquet = load_extra("pyarrow"), load_extra("pyarrow.parquet")
    content = read_intact(path, digest=digest)
    try:
        rows: list[dict[str, Any]] = parquet.read_table(BytesIO(content), schema=_schema(path.name)).to_pylist()
        return rows
    except (pa.ArrowException, OSError, ValueError) as error:
        raise _damaged(path) from error


def _damaged(path: Path) -> DataError:
    return DataError(f"{path.name}: damaged. Prepare the data set again; finished cases are kept.")
