"""Where the work on many cases is done: options that verbs share."""

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from pancascade.errors import DataError

if TYPE_CHECKING:
    from pancascade.execution import Executor


class ExecutorKind(StrEnum):
    """What does the work on many cases."""

    PROCESSES = "processes"
    RAY = "ray"


Workers = Annotated[
    int, typer.Option("--workers", help="Cases at work at the same time; 0 takes one for every processor core.", min=0)
]
Where = Annotated[
    ExecutorKind,
    typer.Option("--engine", help="Where cases are worked on: processes of this machine, or a Ray cluster."),
]
Address = Annotated[
    str | None,
    typer.Option("--address", help="Of the Ray cluster: HOST:PORT, or auto. [with --engine ray: one is started here]"),
]


def choose_executor(engine: ExecutorKind, *, workers: int, address: str | None, device: str = "cpu") -> "Executor":
    """The executor that the options ask for.

    Raises:
        DataError: They do not fit together.
    """
    from pancascade.execution import LocalProcesses

    return choose_cluster(engine, workers=workers, address=address, device=device) or LocalProcesses(workers)


def choose_cluster(
    engine: ExecutorKind, *, workers: int, address: str | None, device: str = "cpu"
) -> "Executor | None":
    """The cluster that the options ask for; None for processes of this machine, where a verb has its own way with them.

    Raises:
        DataError: The options do not fit together.
    """
    from pancascade.execution import RayCluster
    from pancascade.execution.parallel import available_cores

    if engine is ExecutorKind.PROCESSES:
        if address is not None:
            raise DataError("--address is of a Ray cluster. Give --engine ray as well, or leave it out.")
        return None
    if address is not None and workers:
        raise DataError("--workers does not go with --address: the cluster's nodes say how many cases they take.")
    cores = 1 if address is not None else max(1, available_cores() // (workers or available_cores()))
    return RayCluster(address, workers=workers, cores=cores, gpus=0 if device == "cpu" else 1)
