"""Damage to the bytes of a file, as disks, copies and transfers do it, and a hand in an editor."""

from random import Random

MOST = 64
"""Bytes of a block that is damaged."""


def damaged(content: bytes, random: Random, *, start: int = 0, end: int | None = None) -> tuple[str, bytes]:
    """What was done, and the bytes afterwards.

    Args:
        content: Whole bytes.
        random: Draws what is done, and where.
        start: First byte that may be damaged.
        end: Byte after the last one; None: of the file.
    """
    end = len(content) if end is None else min(end, len(content))
    if end <= start:
        return "appended", content + random.randbytes(8)
    name = random.choice(list(_DAMAGES))
    at = random.randrange(start, end)
    length = min(random.randint(1, MOST), end - at)
    return f"{name} at {at} of {len(content)}", _DAMAGES[name](content, at, length, random)


def _flip(content: bytes, at: int, _: int, random: Random) -> bytes:
    return content[:at] + bytes([content[at] ^ 1 << random.randrange(8)]) + content[at + 1 :]


def _byte(content: bytes, at: int, _: int, random: Random) -> bytes:
    return content[:at] + bytes([random.choice((0, 1, 10, 34, 44, 45, 57, 127, 128, 255))]) + content[at + 1 :]


def _several(content: bytes, at: int, length: int, random: Random) -> bytes:
    changed = bytearray(content)
    for _ in range(8):
        changed[random.randrange(at, at + length)] = random.randrange(256)
    return bytes(changed)


def _cut_off(content: bytes, at: int, _: int, __: Random) -> bytes:
    return content[:at]


def _cut_out(content: bytes, at: int, length: int, _: Random) -> bytes:
    return content[:at] + content[at + length :]


def _zeros(content: bytes, at: int, length: int, _: Random) -> bytes:
    return content[:at] + bytes(length) + content[at + length :]


def _noise(content: bytes, at: int, length: int, random: Random) -> bytes:
    return content[:at] + random.randbytes(length) + content[at + length :]


def _inserted(content: bytes, at: int, length: int, random: Random) -> bytes:
    return content[:at] + random.randbytes(length) + content[at:]


def _twice(content: bytes, at: int, length: int, _: Random) -> bytes:
    return content[: at + length] + content[at:]


def _swapped(content: bytes, at: int, length: int, random: Random) -> bytes:
    other = random.randrange(len(content))
    length = min(length, abs(other - at), len(content) - max(at, other))
    first, second = sorted((at, other))
    parts = (content[:first], content[second : second + length], content[first + length : second])
    return b"".join((*parts, content[first : first + length], content[second + length :]))


def _doubled(content: bytes, _: int, __: int, ___: Random) -> bytes:
    return content + content


def _emptied(_: bytes, __: int, ___: int, ____: Random) -> bytes:
    return b""


def _line_ends(content: bytes, _: int, __: int, ___: Random) -> bytes:
    return content.replace(b"\n", b"\r\n")


_DAMAGES = {
    "bit flipped": _flip,
    "byte set": _byte,
    "several bytes": _several,
    "cut off": _cut_off,
    "cut out": _cut_out,
    "zeros": _zeros,
    "noise": _noise,
    "inserted": _inserted,
    "block twice": _twice,
    "blocks swapped": _swapped,
    "file twice": _doubled,
    "emptied": _emptied,
    "line ends changed": _line_ends,
}
