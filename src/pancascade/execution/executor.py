"""The protocol of an executor: many jobs in, each once; results out as they come."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from pancascade.execution.parallel import each_in_processes

Job = TypeVar("Job")
Result = TypeVar("Result")


@dataclass(frozen=True)
class Finished(Generic[Job, Result]):
    """One job, and what became of it.

    Attributes:
        job: The job.
        result: What the work returned; None where its process died.
        lost: Why there is no result, a part of a sentence; None where there is one.
    """

    job: Job
    result: Result | None
    lost: str | None = None


class Executor(Protocol):
    """Something that does a piece of work on many jobs.

    Every executor holds to this: each job comes back exactly once, in any order; jobs are taken from the iterable only
    as they are needed, so that a hundred thousand of them take no memory; a process that dies costs its own job only;
    what the work raises ends the run and is raised here. Closing the iterator ends what is at work.
    """

    def run(self, work: Callable[[Job], Result], jobs: Iterable[Job]) -> Iterator[Finished[Job, Result]]:
        """Do the work on every job; jobs come back as they are finished.

        Args:
            work: A function of a module, so that other processes find it. What it keeps in its module (a model, say)
                stays for the next job of the same process.
            jobs: What it works on; they travel to the processes, so they are small.
        """
        ...


def each_job(
    work: Callable[[Job], Result], jobs: Sequence[Job], *, workers: int, executor: Executor | None = None
) -> Iterator[tuple[Job, Result | None]]:
    """Do a piece of work on every job, here or where an executor does it; jobs come back in any order.

    Args:
        work: See `Executor`.
        jobs: See `Executor`.
        workers: Processes of this machine, where there is no executor; 1 works in this one.
        executor: None takes processes of this machine.

    Returns:
        Jobs and results; None for a job whose process died.
    """
    if executor is None:
        return each_in_processes(work, jobs, workers=workers)
    return ((done.job, done.result) for done in executor.run(work, jobs))
