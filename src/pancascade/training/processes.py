"""Training by several processes, started here, by torchrun, by SLURM or by hand."""

import logging
import os
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from lightning_fabric import Fabric
from lightning_fabric.plugins.environments.cluster_environment import ClusterEnvironment
from lightning_fabric.plugins.environments.lightning import LightningEnvironment
from lightning_fabric.strategies.ddp import DDPStrategy

from pancascade.errors import PancascadeError, RecipeError
from pancascade.inference.backends.devices import find_device
from pancascade.training.group import divides_rounds
from pancascade.training.loop import fit
from pancascade.training.meeting import WAITS_FOR, connect
from pancascade.training.process_environment import outer_environment, place_of
from pancascade.training.process_messages import ProgressSender, logs_reported
from pancascade.training.rank_processes import RankProcesses
from pancascade.training.recipe import Recipe, read_recipe
from pancascade.training.run import ProgressCall, Run

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class TrainingRequest:
    """Arguments of every process of a training.

    Attributes:
        recipe: See `fit`, also for the next attributes.
        data: See `fit`.
        out: See `fit`.
        resume: See `fit`.
        start_from: See `fit`.
        device: ``cpu`` or ``cuda``.
        devices: Number of processes per node.
        nodes: Number of nodes.
    """

    recipe: Path
    data: Path
    out: Path
    resume: bool
    start_from: Path | None
    device: str
    devices: int
    nodes: int

    @property
    def size(self) -> int:
        """Number of processes of all nodes."""
        return self.devices * self.nodes


@dataclass
class RemoteProgress:
    """Progress of a run in another process; see `pancascade.training.run.RunProgress`."""

    recipe: Recipe
    epoch: int = 0
    history: list[dict[str, Any]] = field(default_factory=list)


def fit_requested(
    training: TrainingRequest, *, progress: ProgressCall | None = None, fabric: Fabric | None = None
) -> Run:
    """Train in this process; see `fit`.

    Args:
        training: Arguments of the training.
        progress: Called after every batch.
        fabric: Connects the process with others; None trains alone.

    Raises:
        PancascadeError: See `fit`.
    """
    return fit(
        training.recipe,
        training.data,
        out=training.out,
        resume=training.resume,
        start_from=training.start_from,
        device=training.device,
        progress=progress,
        fabric=fabric,
    )


def fit_in_processes(training: TrainingRequest, *, progress: ProgressCall | None = None) -> list[dict[str, Any]]:
    """Train a recipe with several processes, each with a share of every step.

    Args:
        training: Arguments of the training. ``devices`` processes are started here, unless torchrun or SLURM's srun
            has started them; for several nodes see docs/cluster.md.
        progress: Called after every batch, in the starting or leading process.

    Returns:
        The run's history.

    Raises:
        PancascadeError: As `fit`; or the processes cannot connect, one of them was killed, or the recipe's step cannot
            be divided among them.
    """
    recipe = read_recipe(training.recipe)
    divides_rounds(recipe, training.size)
    _require_devices(training)
    environment = outer_environment()
    if environment is None:
        return _start(training, recipe, progress)
    if environment.world_size() != training.size:
        raise RecipeError(
            f"{environment.world_size()} processes were started, and --devices {training.devices} times --nodes "
            f"{training.nodes} is {training.size}. Start as many, or change the options."
        )
    if environment.global_rank() > 0:
        logging.getLogger("pancascade").setLevel(logging.ERROR)
        progress = None
    return be_a_rank(training, environment, progress)


def be_a_rank(
    training: TrainingRequest, environment: ClusterEnvironment, progress: ProgressCall | None
) -> list[dict[str, Any]]:
    """Train in this process together with the others of its environment; return the history.

    Raises:
        PancascadeError: See `fit_in_processes`.
    """
    kind = torch.device(training.device).type
    logging.getLogger("lightning_fabric").setLevel(logging.WARNING)
    fabric = Fabric(
        accelerator=kind,
        devices=training.devices,
        num_nodes=training.nodes,
        strategy=DDPStrategy(timeout=WAITS_FOR),
        plugins=[environment],
        precision=read_recipe(training.recipe).precision,
    )
    try:
        connect(environment, training.devices, training.size, backend="nccl" if kind == "cuda" else "gloo")
        fabric.launch()
    except (RuntimeError, ValueError, OSError) as error:
        raise PancascadeError(
            f"The processes of the training did not find each other at {environment.main_address}:"
            f"{environment.main_port}. Check MASTER_ADDR, MASTER_PORT, --devices and --nodes on every node."
        ) from error
    try:
        return fit_requested(training, progress=progress, fabric=fabric).history
    finally:
        torch.distributed.destroy_process_group()


def _start(training: TrainingRequest, recipe: Recipe, progress: ProgressCall | None) -> list[dict[str, Any]]:
    """Start this node's processes, forward their messages, and end all if one fails."""
    standing = RemoteProgress(recipe)
    place = place_of(nodes=training.nodes)
    places = [{**place, "LOCAL_RANK": str(number)} for number in range(training.devices)]
    with closing(RankProcesses(_serve, [(training, place) for place in places])) as ranks:
        for reported in ranks.messages():
            match reported:
                case ("log", name, level, sentence):
                    logging.getLogger(name).log(level, sentence)
                case ("batch", epoch, history, done, batches):
                    standing.epoch, standing.history = epoch, standing.history + history
                    if progress is not None:
                        progress(standing, done, batches)
                case ("history", history):
                    standing.history = history
    return standing.history


def _serve(send: Any, training: TrainingRequest, place: Mapping[str, str]) -> None:
    """Run the work of a process started by `_start`."""
    os.environ.update(place)
    environment = LightningEnvironment()
    leads = place["LOCAL_RANK"] == "0" and place["NODE_RANK"] == "0"
    with logs_reported(send if leads else None):
        sender = ProgressSender(send) if leads else None
        history = be_a_rank(training, environment, sender)
    if leads:
        send(("history", history))


def _require_devices(training: TrainingRequest) -> None:
    """Check that every process can have a device.

    Raises:
        PancascadeError: There are too few devices, or their kind does not support several processes.
    """
    device = find_device(training.device)
    if device.type not in ("cpu", "cuda") or ":" in training.device:
        raise PancascadeError(f"--devices needs --device cpu or cuda, not {training.device}. Choose one of them.")
    if device.type == "cuda" and torch.cuda.device_count() < training.devices:
        raise PancascadeError(
            f"--devices {training.devices}: this machine has {torch.cuda.device_count()} CUDA devices. Take fewer."
        )
