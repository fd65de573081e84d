"""How many threads a process computes with."""

import os

from pancascade.execution.parallel import available_cores


def thread_count() -> int:
    """Threads of one process: ``OMP_NUM_THREADS`` where it is set, as for torch, else every core there is."""
    reported = os.environ.get("OMP_NUM_THREADS", "").split(",")[0].strip()
    return int(reported) if reported.isdecimal() and int(reported) > 0 else available_cores()
