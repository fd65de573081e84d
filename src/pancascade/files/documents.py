"""Safe reading of JSON: any file gives a plain Python value or one short error.

Deep nesting causes a recursion error, long numbers a refused conversion, lone surrogates an error when a text is
written again. All of these are refused here, so that callers need not handle them.
"""

import json
import re
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from textwrap import shorten
from typing import Any

from pydantic import ValidationError

MOST_DEPTH = 64
"""Deepest nesting of mappings and lists."""

MOST_DIGITS = 19
"""Most digits of an integer: the range of 64 bits."""

_MOST_BYTES = 512_000_000
_MOST_LETTERS = 110
_MOST_LETTERS_OF_RULES = 160


class DocumentError(ValueError):
    """A document cannot be read. The message is only the reason, on one line, without the file's name."""


def read_json(path: Path) -> Any:
    """Read the value of a JSON file.

    Args:
        path: File in UTF-8, UTF-16 or UTF-32, with or without byte order mark.

    Raises:
        OSError: The file cannot be opened; `reason` gives the text.
        DocumentError: The file is no JSON, or too large, too deeply nested, or has too long numbers.
    """
    return parse_json(read_at_most(path, _MOST_BYTES))


def parse_json(text: str | bytes) -> Any:
    """Parse a JSON text.

    Raises:
        DocumentError: The text is no JSON, is nested too deeply, has a number of too many digits, a repeated key in one
            object, or invalid characters.
    """
    try:
        value = json.loads(_decoded(text), parse_int=_whole_number, object_pairs_hook=_once_only)
    except RecursionError as error:
        raise DocumentError(f"nested more than {MOST_DEPTH} deep") from error
    except json.JSONDecodeError as error:
        raise DocumentError(f"no JSON: {error.msg.removesuffix(' at')}, line {error.lineno}") from error
    require_plain(value)
    return value


def reason(error: Exception) -> str:
    """Return why a document could not be read, on one short line, without the folders in the system's message."""
    if isinstance(error, OSError):
        return (error.strerror or type(error).__name__).lower()
    if isinstance(error, ValidationError):
        return first_fault(error)
    if isinstance(error, KeyError):
        return f"no {error.args[0]!r}" if error.args else "a key is missing"
    return shorten(" ".join(str(error).split()) or type(error).__name__, _MOST_LETTERS, placeholder=" …")


def first_fault(error: ValidationError) -> str:
    """Return the first fault of settings in one short phrase: key, rule, and value found."""
    fault = error.errors(include_url=False)[0]
    place = shortened(".".join(str(part) for part in fault["loc"]), 60)
    if fault["type"] in ("model_type", "model_attributes_type", "dict_type"):
        return f"{place or 'it'} is no mapping of settings"
    reported = fault["msg"].removeprefix("Value error, ").removeprefix("Input ")
    if not place:  # a conflict of settings: its message names them and the remedy; values would be too long
        return shortened(reported, _MOST_LETTERS_OF_RULES)
    text = shortened(reported, _MOST_LETTERS)
    if fault["type"] in ("extra_forbidden", "missing"):
        return f"{place}: {'no such key' if fault['type'] == 'extra_forbidden' else 'is missing'}"
    if fault["type"] == "union_tag_invalid":
        tags = fault["ctx"]
        return (
            f"{place}: {shortened(repr(tags['tag']), 40)} is none of {shortened(tags['expected_tags'], _MOST_LETTERS)}"
        )
    found = "" if fault["type"] == "value_error" else f" (got {shortened(repr(fault['input']), 40)})"
    return f"{place}: {text}{found}"


def shortened(text: str, letters: int) -> str:
    """Return a text on one line, cut within a word if necessary."""
    line = " ".join(text.split())
    return line if len(line) <= letters else f"{line[: letters - 2]} …"


def read_at_most(path: Path, most_bytes: int) -> bytes:
    """Read a file of limited size.

    Raises:
        OSError: The file cannot be opened.
        DocumentError: The file is larger.
    """
    with path.open("rb") as file:
        content = file.read(most_bytes + 1)
    if len(content) > most_bytes:
        raise DocumentError(f"larger than {most_bytes / 1e6:g} MB")
    return content


def require_plain(value: Any) -> None:
    """Check that a value is not nested too deeply and has only valid texts.

    Raises:
        DocumentError: The value is nested too deeply, or a text has characters that cannot be written again.
    """
    level = [value]
    for _ in range(MOST_DEPTH + 1):
        _require_texts(one for one in level if isinstance(one, str))
        _require_texts(key for one in level if isinstance(one, dict) for key in one if isinstance(key, str))
        lists = (one.values() if isinstance(one, dict) else one for one in level if isinstance(one, (dict, list)))
        level = [inner for each in lists for inner in each]
        if not level:
            return
    raise DocumentError(f"nested more than {MOST_DEPTH} deep")


def _require_texts(texts: Iterable[str]) -> None:
    for text in texts:
        if "\0" in text or not (text.isascii() or _NO_CHARACTER.search(text) is None):
            raise DocumentError("a text in it has an invalid character")


_NO_CHARACTER = re.compile("[\ud800-\udc7f\udd00-\udfff]")
"""Lone surrogates, except those that represent a non-UTF-8 byte of a file name."""


def _decoded(text: str | bytes) -> str:
    if isinstance(text, str):
        return text
    try:
        return text.decode(json.detect_encoding(text)).removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        raise DocumentError("its text is not UTF-8") from error


def _whole_number(digits: str) -> int:
    if len(digits.lstrip("-")) > MOST_DIGITS:
        raise DocumentError(f"a number of {len(digits)} digits")
    return int(digits)


def _once_only(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        twice = Counter(key for key, _ in pairs).most_common(1)[0][0]
        raise DocumentError(f"{shortened(repr(twice), 40)} is written twice in one object")
    return found
