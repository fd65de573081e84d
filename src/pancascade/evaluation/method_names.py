"""Names of methods in tables."""

from collections.abc import Sequence
from pathlib import Path

from pancascade.errors import DataError
from pancascade.files.file_names import text_name
from pancascade.files.given_paths import real_path


def name_methods(methods: Sequence[str]) -> dict[str, Path]:
    """Return the folder of each method: named by ``NAME=FOLDER``, else by the folder, with its parent if repeated.

    Raises:
        DataError: Fewer than two methods, two of the same name, or a name that is not UTF-8 text.
    """
    named: dict[str, Path] = {}
    plain = [real_path(text) for text in methods if "=" not in text or Path(text).exists()]
    names = [folder.name for folder in plain]
    for text in methods:
        name, equals, path = text.partition("=")
        folder = Path(path)
        if not equals or Path(text).exists():
            folder = Path(text)
            whole = real_path(folder)
            name = whole.name if names.count(whole.name) == 1 else f"{whole.parent.name}-{whole.name}"
        name = text_name(name)
        if not name or name in named or "/" in name or name.startswith("."):
            raise DataError(f"{text}: give each method a name of its own, like NAME=FOLDER.")
        named[name] = folder
    if len(named) < 2:
        raise DataError("compare needs the folders of at least two methods; `pancascade evaluate` takes one.")
    return named
