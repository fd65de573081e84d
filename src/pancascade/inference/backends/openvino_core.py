"""OpenVINO, and its options for the CPU."""

from functools import cache
from typing import Any

import openvino

from pancascade.inference.backends.backend import Precision
from pancascade.inference.backends.threads import thread_count


@cache
def core() -> openvino.Core:
    """Return OpenVINO's core; it is started once."""
    return openvino.Core()


def cpu_options(precision: Precision, *, threads: int | None = None) -> dict[str, Any]:
    """Return OpenVINO's options by name.

    Args:
        precision: Precision of the computation.
        threads: Number of threads; None for `thread_count`.
    """
    return {
        "INFERENCE_PRECISION_HINT": precision,
        "INFERENCE_NUM_THREADS": threads or thread_count(),
        "NUM_STREAMS": 1,
        # Several processes on one machine would all be pinned to its first cores.
        "ENABLE_CPU_PINNING": False,
    }
