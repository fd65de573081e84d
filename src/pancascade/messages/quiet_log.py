"""Make a logger quieter for a while."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def quiet_log(name: str, *, level: int = logging.ERROR) -> Iterator[None]:
    """Inside the block, a logger reports nothing below a level.

    Args:
        name: Name of the logger.
        level: Least level that is reported.
    """
    logger = logging.getLogger(name)
    former = logger.level
    logger.setLevel(level)
    try:
        yield
    finally:
        logger.setLevel(former)
