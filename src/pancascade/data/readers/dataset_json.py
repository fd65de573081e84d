"""``dataset.json`` of the decathlon and of nnU-Net."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pancascade.errors import DataError
from pancascade.files.documents import read_json, reason
from pancascade.files.file_names import abbreviated

_CT = re.compile(r"(ce|nc|ne|ld|hr|md|ms|de|cb|contrast|noncontrast)?ct(a|ap)?")
_OTHER_MODALITIES = {"pet", "spect", "suv", "mr", "mri", "us", "pt", "nm"}


def read_dataset_json(folder: Path) -> dict[str, Any]:
    """Read a folder's ``dataset.json``.

    Raises:
        DataError: The file is missing or no JSON object.
    """
    path = folder / "dataset.json"
    try:
        content = read_json(path)
    except FileNotFoundError as error:
        raise DataError(f"{path}: no such file. Give the folder that holds dataset.json.") from error
    except (OSError, ValueError) as error:
        raise DataError(f"{path.name}: not readable JSON ({reason(error)}). Copy it again.") from error
    if not isinstance(content, dict):
        raise DataError(f"{path}: holds no JSON object. Copy it again.")
    return content


def label_names(content: Mapping[str, Any]) -> dict[int, str]:
    """Return the name of each value of the label maps, from any version of the file.

    Raises:
        DataError: There are no labels, or a label is a region of several values.
    """
    labels = content.get("labels")
    if not isinstance(labels, dict):
        raise DataError("dataset.json: its labels are not like {'1': 'pancreas'}. Correct it, or copy it again.")
    if not labels:
        raise DataError("dataset.json: names no labels. Correct it, or copy it again.")
    names = {}
    for one, other in labels.items():
        # Version 2 of nnU-Net writes {name: value}, all others {value: name}.
        value, name = (one, other) if one.isdigit() else (other, one)
        if isinstance(value, list):
            raise DataError(
                f"dataset.json: label {abbreviated(name)!r} is a region of the values {abbreviated(str(value))}. "
                "Give plain labels."
            )
        try:
            names[int(value)] = str(name)
        except (TypeError, ValueError, ArithmeticError) as error:
            raise DataError(
                f"dataset.json: its labels are not like {{'1': 'pancreas'}} but {abbreviated(f'{one!r}: {other!r}')}."
            ) from error
    return names


def require_ct(content: Mapping[str, Any], *, named: bool) -> None:
    """Check that the first channel is a CT: "CT", "portal venous CT", "CTA"; not "SPECT", not "PET/CT".

    Args:
        content: Content of the ``dataset.json``.
        named: Whether to refuse a file that names no channels.

    Raises:
        DataError: The first channel is something else.
    """
    channels = content.get("channel_names") or content.get("modality") or {}
    first = channels.get("0") if isinstance(channels, dict) else None
    if first is None:
        if named:
            raise DataError("dataset.json: channel 0 is not named, so it may be no CT. Name it CT if it is one.")
        return
    words = [word.casefold() for word in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+", str(first))]
    denied = "non ct" in " ".join(words) or not _OTHER_MODALITIES.isdisjoint(words)
    if denied or not any(_CT.fullmatch(word) for word in words):
        raise DataError(f"dataset.json: channel 0 is {abbreviated(str(first))}, not CT. Give a data set of CT scans.")
