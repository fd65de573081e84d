"""Import of libraries of the extra ``data``."""

from importlib import import_module
from typing import Any

from pancascade.errors import DataError


def load_extra(name: str) -> Any:
    """Import a module of the extra ``data``.

    Raises:
        DataError: The module is not installed.
    """
    try:
        return import_module(name)
    except ImportError as error:
        library = name.split(".", maxsplit=1)[0]
        raise DataError(
            f"A training store needs {library}, which is not installed. Run: pip install 'pancascade[data]'"
        ) from error
