"""Results of a check for programs: ``check.json``, ``cases.csv``, ``findings.csv``."""

import csv
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from pancascade.data.checking.case_statistics import CaseStatistics
from pancascade.data.checking.check import DataCheck
from pancascade.files.atomic import written_whole

FORMAT = 1

FILES = ("check.json", "cases.csv", "findings.csv")
"""Names of the written files."""


def write_check(check: DataCheck, out: Path) -> None:
    """Write the three files.

    Args:
        check: Result of the check.
        out: Folder; created if missing.

    Raises:
        OutputError: The folder cannot be written.
    """
    content = {
        "format": FORMAT,
        "worst": check.worst,
        "findings": [issue.model_dump(mode="json") for issue in check.issues],
        "cases": [statistics.model_dump(mode="json", exclude={"thumbnail"}) for statistics in check.statistics],
    }
    report, cases, issues = (out / name for name in FILES)
    with written_whole(report) as temporary:
        temporary.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    _write_csv(cases, [_row(statistics, check) for statistics in check.statistics])
    columns = ("severity", "kind", "source", "case", "patient", "message", "others")
    found = [issue.model_dump(mode="json") for issue in check.issues]
    rows = [{**{name: one[name] for name in columns}, "others": " ".join(one["others"])} for one in found]
    _write_csv(issues, rows, columns=columns)


def size_text(statistics: CaseStatistics) -> str:
    """Return the size as text, such as 512 × 512 × 240; empty if unknown."""
    return "" if statistics.shape is None else " × ".join(map(str, statistics.shape))


def spacing_text(statistics: CaseStatistics) -> str:
    """Return the spacing as text, such as 0.86 × 0.86 × 1 (mm); empty if unknown."""
    return "" if statistics.spacing_mm is None else " × ".join(f"{mm:.3g}" for mm in statistics.spacing_mm)


def _row(statistics: CaseStatistics, check: DataCheck) -> dict[str, Any]:
    label = statistics.label
    shape, spacing_mm = statistics.shape or ("", "", ""), statistics.spacing_mm or ("", "", "")
    hu = statistics.hu or ("",) * 7
    kinds = dict.fromkeys(f"{issue.severity}:{issue.kind}" for issue in check.of_case(statistics))
    return {
        "case": statistics.name,
        "patient": statistics.patient,
        "source": statistics.source,
        "field": statistics.field,
        **{f"voxels_{axis}": value for axis, value in zip("ijk", shape, strict=True)},
        **{f"spacing_{axis}_mm": value for axis, value in zip("ijk", spacing_mm, strict=True)},
        "orientation": statistics.orientation or "",
        "lowest_hu": hu[0],
        "median_hu": hu[3],
        "highest_hu": hu[-1],
        "pancreas_ml": "" if label is None or label.pancreas_ml is None else round(label.pancreas_ml, 3),
        "tumour_ml": "" if label is None or label.tumour_ml is None else round(label.tumour_ml, 3),
        "lesions": "" if label is None else label.lesion_count,
        "findings": " ".join(kinds),
        "image": statistics.image_file,
        "label": statistics.label_file if len(statistics.files) > 1 else "",
    }


def _write_csv(path: Path, rows: Iterable[Mapping[str, Any]], *, columns: Sequence[str] = ()) -> None:
    rows = list(rows)
    with written_whole(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(columns) or list(rows[0]) if rows or columns else [])
        writer.writeheader()
        writer.writerows(rows)
