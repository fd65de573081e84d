"""A logger that says less for a while."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def quiet_log(name: str, *, level: int = logging.ERROR) -> Iterator[None]:
    """Inside the block, a logger tells nothing below a level.

    Args:
        name: Of the logger.
        level: The least that is told.
    """
    logger = logging.getLogger(name)
    former = logger.level
    logger.setLevel(level)
    try:
        yield
    finally:
        logger.setLevel(former)
