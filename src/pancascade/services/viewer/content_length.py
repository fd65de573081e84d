"""The length of a request's body, as its header announces it."""

_MOST_DIGITS = 18
"""Longer numbers are no length, and take long to convert."""


def announced_bytes(header: str | None) -> int | None:
    """Return the announced length; None if there is none, or it is no number.

    Args:
        header: Value of ``Content-Length``.
    """
    if header is None or not (header.isascii() and header.isdigit() and len(header) <= _MOST_DIGITS):
        return None
    return int(header)
