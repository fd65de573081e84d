"""Libraries of the extra ``data``, which only stores need."""

from importlib import import_module
from typing import Any

from pancascade.errors import DataError


def load_extra(name: str) -> Any:
    """A module of the extra.

    Raises:
        DataError: It is not installed.
    """
    try:
        return import_module(name)
    except ImportError as error:
        library = name.split(".", maxsplit=1)[0]
        raise DataError(
            f"A training store needs {library}, which is not installed. Run: pip install 'pancascade[data]'"
        ) from error
