"""Number of threads of a process."""

import os

from pancascade.execution.parallel import available_cores


def thread_count() -> int:
    """Return ``OMP_NUM_THREADS`` if it is set, as in torch, else the number of available cores."""
    reported = os.environ.get("OMP_NUM_THREADS", "").split(",")[0].strip()
    return int(reported) if reported.isdecimal() and int(reported) > 0 else available_cores()
