"""Reading of text files from any editor, with detection of the encoding."""

import codecs
import re
from contextlib import suppress
from pathlib import Path

from pancascade.errors import DataError
from pancascade.files.file_names import abbreviated

_BYTE_ORDER_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),  # begins like UTF-16's
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)


def read_text(path: Path) -> str:
    r"""Read a file in UTF-8, UTF-16 or UTF-32, with or without a byte order mark, or in Windows-1252 (Latin-1).

    Returns:
        Text without byte order marks; lines end with ``\n``.

    Raises:
        DataError: The file cannot be read, is no text, or is damaged.
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError as error:
        raise DataError(f"{abbreviated(path.name)}: there is no such file. Check the path.") from error
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise DataError(f"{abbreviated(path.name)}: cannot be read as text ({reason}). Check the path.") from error
    if content.startswith(b"PK\x03\x04"):
        raise DataError(f"{path.name}: this is a workbook or an archive, no text. Save it as CSV.")
    text = _decode(content, path.name).lstrip("\ufeff")
    odd = re.search(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ufffd-\uffff]", text)
    if odd:
        line = text.count("\n", 0, odd.start()) + 1
        raise DataError(f"{path.name}, line {line}: this is no text. Is it the right file? Save it again.")
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _decode(content: bytes, name: str) -> str:
    encoding = next((encoding for mark, encoding in _BYTE_ORDER_MARKS if content.startswith(mark)), None)
    if encoding is None and content.count(0) > len(content) / 4:  # UTF-16 without a mark: every second byte is zero
        encoding = "utf-16-le" if content[1::2].count(0) > content[::2].count(0) else "utf-16-be"
    try:
        return content.decode(encoding or "utf-8")
    except UnicodeDecodeError as error:
        # Other encodings rarely form valid multi-byte characters of UTF-8: if some are valid, the rest is damaged.
        whole = any(letter > "\x7f" and letter != "\ufffd" for letter in content.decode("utf-8", "replace"))
        with suppress(UnicodeDecodeError):
            if encoding is None and not whole:
                return content.decode("cp1252")
        line = content.count(b"\n", 0, error.start) + 1
        raise DataError(f"{name}, line {line}: damaged, or in a mix of encodings. Save it in UTF-8.") from error
