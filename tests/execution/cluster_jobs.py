"""Work for a cluster of tests, in a module that its nodes find by itself."""

import os
import uuid
from pathlib import Path


def square_when_told(job):
    """The first two jobs say where they are and wait, when they are begun for the first time; nobody else waits."""
    import ray

    number, folder = job
    begun = Path(folder) / "begun"
    (begun / f"{number}-{uuid.uuid4()}").touch()
    if number < 2 and len(list(begun.glob(f"{number}-*"))) == 1:
        with (Path(folder) / "told").open("w") as reported:
            reported.write(f"{number} {ray.get_runtime_context().get_node_id()}\n")
        (Path(folder) / f"gate-{number}").read_bytes()
    return number**2


def refuse(job):
    from pancascade.errors import DataError

    raise DataError(f"no {job}")


def die(job):
    if job == 2:
        os._exit(9)
    return job


def wait_for_ever(folder):
    """Says that it has begun; its node is killed."""
    import threading

    (Path(folder) / "begun").write_bytes(b".")
    threading.Event().wait()
