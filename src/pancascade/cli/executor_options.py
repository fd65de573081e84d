"""Options shared by verbs that work on many cases: number of workers, and where they run."""

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from pancascade.errors import DataError

if TYPE_CHECKING:
    from pancascade.execution import Executor


class ExecutorKind(StrEnum):
    """Executor of the work on many cases."""

    PROCESSES = "processes"
    RAY = "ray"


Workers = Annotated[
    int, typer.Option("--workers", help="Number of cases at the same time; 0 takes one for every CPU core.", min=0)
]
Where = Annotated[
    ExecutorKind,
    typer.Option("--engine", help="Where cases are processed: in processes of this machine, or on a Ray cluster."),
]
Address = Annotated[
    str | None,
    typer.Option("--address", help="Address of the Ray cluster: HOST:PORT, or auto. [with --engine ray: started here]"),
]


def choose_executor(engine: ExecutorKind, *, workers: int, address: str | None, device: str = "cpu") -> "Executor":
    """Return the executor for the options.

    Raises:
        DataError: The options do not fit together.
    """
    from pancascade.execution import LocalProcesses

    return choose_cluster(engine, workers=workers, address=address, device=device) or LocalProcesses(workers)


def choose_cluster(
    engine: ExecutorKind, *, workers: int, address: str | None, device: str = "cpu"
) -> "Executor | None":
    """Return the cluster for the options; None for processes of this machine, which a verb may start itself.

    Raises:
        DataError: The options do not fit together.
    """
    from pancascade.execution import RayCluster
    from pancascade.execution.parallel import available_cores

    if engine is ExecutorKind.PROCESSES:
        if address is not None:
            raise DataError("--address is for a Ray cluster. Give --engine ray as well, or leave it out.")
        return None
    if address is not None and workers:
        raise DataError("--workers does not go with --address: the cluster's nodes set how many cases they take.")
    cores = 1 if address is not None else max(1, available_cores() // (workers or available_cores()))
    return RayCluster(address, workers=workers, cores=cores, gpus=0 if device == "cpu" else 1)
