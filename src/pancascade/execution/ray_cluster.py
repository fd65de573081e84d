"""An executor on a Ray cluster: one task a job, done again on another node when a worker or a node dies."""

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
"""Address of a cluster that is started here and ends with the run."""

RETRIES = 3
"""How often a job is done again whose worker or node died."""

AHEAD = 2
"""Jobs that are given out for each job that can be at work, so that no node waits and none of 100,000 piles up."""

_ANSWERS_WITHIN_S = 10
_LOOKED_AT_EVERY_S = 2

LOST = f"its worker or node died {RETRIES + 1} times, or ran out of memory"


class RayCluster:
    """A Ray cluster: one that is there already, or one that is started on this machine.

    All nodes must see the same files under the same paths, and have pancascade installed.

    Args:
        address: ``HOST:PORT`` of a cluster, or ``auto`` for the one that this machine belongs to; None starts one here
            that ends with the run.
        workers: Jobs at work at the same time on a cluster that is started here; 0 takes one for every core.
        cores: Of a job. Ray gives its process so many threads.
        gpus: Of a job.
    """

    def __init__(self, address: str | None = None, *, workers: int = 0, cores: int = 1, gpus: int = 0) -> None:
        self.address = address or LOCAL
        self.workers = workers or available_cores()
        self.cores = cores
        self.gpus = gpus

    def run(self, work: Callable[[Job], Result], jobs: Iterable[Job]) -> Iterator[Finished[Job, Result]]:
        """As the protocol says.

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
        """Connect, or start a cluster; unless that was done before, give it up afterwards."""
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
            # Ray raises what it likes, a bare Exception among others.
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
        """Jobs that can be at work at the same time.

        Raises:
            PancascadeError: None can.
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
    """The cluster's head, or this machine's part of it, is gone."""

    def __init__(self) -> None:
        super().__init__(
            "The Ray cluster was lost. What is finished is kept: run the same again when it is back, a batch with "
            "--resume."
        )


class _Watch:
    """Looks now and then how many jobs the cluster takes, and whether it is still there.

    Ray itself waits a minute for a head that is gone, and then ends the program without a word.

    Args:
        ray: The library.
        count: How many jobs can be at work, of the library.
    """

    def __init__(self, ray: Any, count: Callable[[Any], int]) -> None:
        self._ray = ray
        self._count = count
        self._head = ray.get_runtime_context().gcs_address
        self._looked = -_LOOKED_AT_EVERY_S * 1.0
        self.slots = 0
        self._look()

    def first_ready(self, references: list[Any]) -> Any:
        """Wait for one of them.

        Raises:
            PancascadeError: The cluster was lost, or can take no job any more.
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
        self.slots = self._count(self._ray)  # nodes come and go
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
    """Ask quickly whether somebody listens there: Ray itself tries for minutes.

    Raises:
        OSError: Nobody does.
    """
    host, _, port = address.rpartition("://")[2].rpartition(":")
    if host and port.isdigit():
        socket.create_connection((host, int(port)), timeout=_ANSWERS_WITHIN_S).close()


def _finished(ray: Any, job: Job, reference: Any) -> Finished[Job, Result]:
    try:
        return Finished(job, ray.get(reference))
    except ray.exceptions.RayTaskError as error:
        # What the work raised, as it was; Ray's own copy of it holds a traceback with the paths of other machines.
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
    """Ray takes SIGTERM over when it starts; what was to happen then must still happen."""
    former = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        with suppress(TypeError, ValueError):  # not installed by Python, or not in the main thread
            signal.signal(signal.SIGTERM, former)


@contextmanager
def _no_messages_home() -> Iterator[None]:
    """Ray counts its users over the network, unless told not to."""
    former = os.environ.get("RAY_USAGE_STATS_ENABLED")
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    try:
        yield
    finally:
        if former is None:
            del os.environ["RAY_USAGE_STATS_ENABLED"]
        else:
            os.environ["RAY_USAGE_STATS_ENABLED"] = former
