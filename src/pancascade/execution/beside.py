"""One piece of work in a thread beside the caller's: for C code that releases Python's interpreter lock."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

T = TypeVar("T")


@contextmanager
def beside(work: Callable[[], T], *, when: bool = True) -> Iterator[Callable[[], T]]:
    """Run a function in a thread while the block runs; the block never ends before it.

    Args:
        work: The function. What it raises is raised where its result is requested.
        when: Whether a thread is used; without one the function runs when its result is requested.

    Yields:
        A function that waits for the result and returns it.
    """
    if not when:
        yield work
        return
    with ThreadPoolExecutor(1) as pool:
        yield pool.submit(work).result
