"""Executor on a Ray cluster: one task per job, repeated on another node if a worker or node dies."""

import os
import signal
import socket
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from pancascade.errors import PancascadeError
from pancascade.execution.executor import Finished, Job, Result
from pancascade.execution.parallel import available_cores

LOCAL = "local"
"""Address of a cluster started on this machine, which ends with the run."""

RETRIES = 3
"""Number of repetitions of a job whose worker or node died."""

AHEAD = 2
"""Submitted jobs per running job, so that no node waits and memory stays small for 100,000 jobs."""

_ANSWERS_WITHIN_S = 10
_LOOKED_AT_EVERY_S = 2

LOST = f"its worker or node died {RETRIES + 1} times, or ran out of memory"


class RayCluster:
    """An existing Ray cluster, or one started on this machine.

    All nodes need the same files under the same paths, and pancascade installed.

    Args:
        address: ``HOST:PORT`` of a cluster, or ``auto`` for this machine's cluster; None starts one here that ends with
            the run.
        workers: Number of simultaneous jobs on a cluster started here; 0 takes one per core.
        cores: Cores per job. Ray gives the process this number of threads.
        gpus: GPUs per job.
    """

    def __init__(self, address: str | None = None, *, workers: int = 0, cores: int = 1, gpus: int = 0) -> None:
        self.address = address or LOCAL
        self.workers = workers or available_cores()
        self.cores = cores
        self.gpus = gpus

    def run(self, work: Callable[[Job], Result], jobs: Iterable[Job]) -> Iterator[Finished[Job, Result]]:
        """Run the work on every job; see `Executor.run`.

        Raises:
            PancascadeError: Ray is not installed, the cluster cannot be reached or was lost, or none of its nodes has
                what a job needs.
        """
        ray = _load()
        left = iter(jobs)
        with self._connected(ray):
            task = ray.remote(num_cpus=self.cores, num_gpus=self.gpus, max_retries=RETRIES)(work)
            task = task.options(scheduling_strategy="SPREAD")
            waiting: dict[Any, Job] = {}
            try:
                watch = _Watch(ray, self._slots)
                while True:
                    while len(waiting) < AHEAD * watch.slots and (pair := next(((job,) for job in left), None)):
                        waiting[task.remote(pair[0])] = pair[0]
                    if not waiting:
                        return
                    reference = watch.first_ready(list(waiting))
                    job = waiting.pop(reference)
                    finished: Finished[Job, Result] = _finished(ray, job, reference)
                    del reference  # Ray then forgets the result
                    yield finished
            except _ClusterLostError:
                raise
            except BaseException:
                for reference in waiting:
                    ray.cancel(reference, force=True)
                raise

    @contextmanager
    def _connected(self, ray: Any) -> Iterator[None]:
        """Connect or start a cluster, and disconnect afterwards; an existing connection is kept."""
        if ray.is_initialized():
            yield
            return
        started: dict[str, Any] = {"num_cpus": self.workers * self.cores} if self.address == LOCAL else {}
        with _own_signals(), _no_messages_home():
            try:
                _require_answer(self.address)
                ray.init(
                    address=self.address,
                    include_dashboard=False if self.address == LOCAL else None,
                    log_to_driver=False,
                    logging_level="ERROR",
                    **started,
                )
            # Ray may raise any exception, also a plain Exception.
            except Exception as error:
                if self.address == LOCAL:
                    raise PancascadeError(
                        "Ray did not start on this machine in time. Is it very busy? Try again, or leave --engine out."
                    ) from error
                raise PancascadeError(
                    f"No Ray cluster answers at {self.address}. Check the address, start one with `ray start --head`, "
                    "or leave --address out to start one here."
                ) from error
        try:
            yield
        except (ray.exceptions.RaySystemError, ray.exceptions.LocalRayletDiedError) as error:
            raise _ClusterLostError from error
        finally:
            ray.shutdown()

    def _slots(self, ray: Any) -> int:
        """Return the number of simultaneous jobs.

        Raises:
            PancascadeError: No node has the resources of a job.
        """
        there = ray.cluster_resources()
        slots = int(there.get("CPU", 0) // self.cores)
        if self.gpus:
            slots = min(slots, int(there.get("GPU", 0) // self.gpus))
        if slots < 1:
            what = f"{self.cores} cores" + (f" and {self.gpus} GPUs" if self.gpus else "")
            raise PancascadeError(
                f"The Ray cluster has no {what} for a scan. Wait for its nodes, or ask for less (--device cpu)."
            )
        return slots


class _ClusterLostError(PancascadeError):
    """The cluster's head, or its process on this machine, has ended."""

    def __init__(self) -> None:
        super().__init__(
            "The Ray cluster was lost. What is finished is kept: run the same again when it is back, a batch with "
            "--resume."
        )


class _Watch:
    """Periodic check of the cluster's capacity and existence.

    Ray itself waits a minute for a lost head, and then ends the program silently.

    Args:
        ray: The Ray module.
        count: Returns the number of simultaneous jobs from the Ray module.
    """

    def __init__(self, ray: Any, count: Callable[[Any], int]) -> None:
        self._ray = ray
        self._count = count
        self._head = ray.get_runtime_context().gcs_address
        self._looked = -_LOOKED_AT_EVERY_S * 1.0
        self.slots = 0
        self._look()

    def first_ready(self, references: list[Any]) -> Any:
        """Wait for one of the references, and return it.

        Raises:
            PancascadeError: The cluster was lost, or has no capacity any more.
        """
        while True:
            self._look()
            ready, _ = self._ray.wait(references, num_returns=1, timeout=_LOOKED_AT_EVERY_S)
            if ready:
                return ready[0]

    def _look(self) -> None:
        now = time.monotonic()
        if now - self._looked < _LOOKED_AT_EVERY_S:
            return
        try:
            _require_answer(self._head)
        except OSError as error:
            raise _ClusterLostError from error
        self.slots = self._count(self._ray)  # the number of nodes may change
        self._looked = now


def _load() -> Any:
    try:
        import ray
        import ray.exceptions
    except ImportError as error:
        raise PancascadeError(
            'Ray is not installed. Run pip install "pancascade[cluster]", or leave --engine ray out.'
        ) from error
    return ray


def _require_answer(address: str) -> None:
    """Check quickly that an address accepts connections, because Ray itself tries for minutes.

    Raises:
        OSError: The address does not accept connections.
    """
    host, _, port = address.rpartition("://")[2].rpartition(":")
    if host and port.isdigit():
        socket.create_connection((host, int(port)), timeout=_ANSWERS_WITHIN_S).close()


def _finished(ray: Any, job: Job, reference: Any) -> Finished[Job, Result]:
    try:
        return Finished(job, ray.get(reference))
    except ray.exceptions.RayTaskError as error:
        # The original error, because Ray's copy contains a traceback with paths of other machines.
        raise (error.cause if isinstance(error.cause, PancascadeError | MemoryError) else error) from None
    except (
        ray.exceptions.WorkerCrashedError,
        ray.exceptions.NodeDiedError,
        ray.exceptions.OutOfMemoryError,
        ray.exceptions.ObjectLostError,
    ):
        return Finished(job, None, lost=LOST)


@contextmanager
def _own_signals() -> Iterator[None]:
    """Restore the SIGTERM handler that Ray replaces when it starts."""
    former = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        with suppress(TypeError, ValueError):  # not installed by Python, or not in the main thread
            signal.signal(signal.SIGTERM, former)


@contextmanager
def _no_messages_home() -> Iterator[None]:
    """Disable Ray's usage statistics, which it would send over the network."""
    former = os.environ.get("RAY_USAGE_STATS_ENABLED")
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    try:
        yield
    finally:
        if former is None:
            del os.environ["RAY_USAGE_STATS_ENABLED"]
        else:
            os.environ["RAY_USAGE_STATS_ENABLED"] = former
