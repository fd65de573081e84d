"""Values of a check report that a split uses: duplicate patients and tumour sizes."""

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from pancascade.data.splits.tumour_sizes import finite
from pancascade.errors import DataError
from pancascade.files.documents import read_json, reason

DUPLICATE = "duplicate-patient"
"""Kind of an issue about one patient's cases under two names."""


def read_report(path: Path) -> dict[str, Any]:
    """Read a ``check.json`` of `pancascade data check`.

    Raises:
        DataError: The file is missing or no such report.
    """
    try:
        content = read_json(path)
    except (OSError, ValueError) as error:
        why = reason(error)
        raise DataError(f"{path.name}: not a readable report of a check ({why}). Give the check.json.") from error
    if not isinstance(content, dict) or not isinstance(content.get("findings"), list):
        raise DataError(f"{path}: has no list of findings. Give the check.json of `pancascade data check`.")
    return content


def sizes_in_report(content: dict[str, Any]) -> dict[str, float]:
    """Return the tumour volume in mL of each case of a ``check.json``, by case name."""
    listed = content.get("cases")
    if isinstance(listed, dict):
        listed = [{"case": name, **row} for name, row in listed.items() if isinstance(row, dict)]
    found = {}
    for row in listed if isinstance(listed, list) else ():
        if not isinstance(row, dict):
            continue
        label = row.get("label")
        size = finite((label if isinstance(label, dict) else row).get("tumour_ml"))
        if size is not None:
            found[str(row.get("name", row.get("case")))] = size
    return found


def duplicate_patients(content: dict[str, Any], patient_of: Mapping[str, str]) -> tuple[list[set[str]], list[str]]:
    """Return groups of patients that are one person by the report, and unknown names in the report.

    Args:
        content: Content of the ``check.json``.
        patient_of: Patient of each case of the data set.

    Returns:
        Groups of patients; names of cases or patients of other data sets.
    """
    patients = set(patient_of.values())
    groups, strange = [], set()
    for finding in content["findings"]:
        if not isinstance(finding, dict) or finding.get("kind") != DUPLICATE:
            continue
        others = finding.get("others")
        names = [finding.get("patient") or finding.get("case"), *(others if isinstance(others, list) else ())]
        found = {_patient(str(name), patient_of, patients) for name in names if name is not None}
        strange |= {str(name) for name in names if name and _patient(str(name), patient_of, patients) is None}
        groups.append({patient for patient in found if patient is not None})
    return [group for group in groups if len(group) > 1], sorted(strange)


def _patient(name: str, patient_of: Mapping[str, str], patients: Collection[str]) -> str | None:
    return name if name in patients else patient_of.get(name)
