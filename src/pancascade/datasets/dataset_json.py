"""``dataset.json``, which the decathlon and nnU-Net put beside their images."""

from pathlib import Path
from typing import Any

from pancascade.errors import DataError
from pancascade.io.documents import read_json, reason


def read_dataset_json(folder: Path) -> dict[str, Any]:
    """The content of a folder's ``dataset.json``.

    Raises:
        DataError: It is missing or no JSON object.
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
