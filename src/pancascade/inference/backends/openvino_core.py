"""OpenVINO itself, and how it shall use the CPU."""

from functools import cache
from typing import Any

import openvino

from pancascade.inference.backends.backend import Precision
from pancascade.inference.backends.threads import thread_count


@cache
def core() -> openvino.Core:
    """OpenVINO, started once."""
    return openvino.Core()


def cpu_options(precision: Precision, *, threads: int | None = None) -> dict[str, Any]:
    """Its options by name.

    Args:
        precision: What it computes in.
        threads: How many; None for `thread_count`.
    """
    return {
        "INFERENCE_PRECISION_HINT": precision,
        "INFERENCE_NUM_THREADS": threads or thread_count(),
        "NUM_STREAMS": 1,
        # Several processes on one machine would all be pinned to its first cores.
        "ENABLE_CPU_PINNING": False,
    }
