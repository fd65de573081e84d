"""Protocol of executors, which run many jobs and return results in order of completion."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from pancascade.execution.parallel import each_in_processes

Job = TypeVar("Job")
Result = TypeVar("Result")


@dataclass(frozen=True)
class Finished(Generic[Job, Result]):
    """One job with its outcome.

    Attributes:
        job: The job.
        result: Result of the work; None if its process died.
        lost: Reason of a missing result, as part of a sentence; None if there is a result.
    """

    job: Job
    result: Result | None
    lost: str | None = None


class Executor(Protocol):
    """Runs a function on many jobs.

    Rules for every executor: each job is returned exactly once, in any order. Jobs are taken from the iterable only as
    needed, so that a hundred thousand jobs take no memory. A process that dies affects only its own job. An exception
    of the work ends the run and is raised here. Closing the iterator ends running work.
    """

    def run(self, work: Callable[[Job], Result], jobs: Iterable[Job]) -> Iterator[Finished[Job, Result]]:
        """Run the work on every job; yield jobs in order of completion.

        Args:
            work: A module-level function, so that other processes can import it. Objects that it keeps in its module
                (such as a model) remain for the next job of the same process.
            jobs: Arguments of the work; they are sent to the processes, so they must be small.
        """
        ...


def each_job(
    work: Callable[[Job], Result], jobs: Sequence[Job], *, workers: int, executor: Executor | None = None
) -> Iterator[tuple[Job, Result | None]]:
    """Run a function on every job, on this machine or by an executor; jobs are returned in any order.

    Args:
        work: See `Executor`.
        jobs: See `Executor`.
        workers: Number of processes without an executor; 1 works in the current process.
        executor: Executor; None uses processes of this machine.

    Returns:
        Jobs with results; None for a job whose process died.
    """
    if executor is None:
        return each_in_processes(work, jobs, workers=workers)
    return ((done.job, done.result) for done in executor.run(work, jobs))
