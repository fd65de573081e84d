"""Which of a training's processes this one is, and who started them: we, torchrun or SLURM."""

import os
import socket
from collections.abc import Mapping

from lightning_fabric.plugins.environments.cluster_environment import ClusterEnvironment
from lightning_fabric.plugins.environments.lightning import LightningEnvironment
from lightning_fabric.plugins.environments.slurm import SLURMEnvironment
from lightning_fabric.plugins.environments.torchelastic import TorchElasticEnvironment

from pancascade.errors import RecipeError

_PLACE = ("MASTER_ADDR", "MASTER_PORT", "NODE_RANK")


def outer_environment() -> ClusterEnvironment | None:
    """Return the environment of processes started by another program; None if they must be started here."""
    if TorchElasticEnvironment.detect():
        return TorchElasticEnvironment()
    if int(os.environ.get("SLURM_STEP_NUM_TASKS", "1")) > 1:
        return SLURMEnvironment()
    return None


def is_follower(nodes: int) -> bool:
    """Return whether another process writes and logs: another rank, or the first of several nodes."""
    environment = outer_environment()
    if environment is not None:
        return environment.global_rank() > 0
    return nodes > 1 and os.environ.get("NODE_RANK", "0") != "0"


def require_alone() -> None:
    """Check that one process was started, because several would all do the same work.

    Raises:
        RecipeError: Several processes were started.
    """
    environment = outer_environment()
    size = 1 if environment is None or isinstance(environment, LightningEnvironment) else environment.world_size()
    if size > 1:
        raise RecipeError(f"{size} processes were started to train together. Give --devices (per node) and --nodes.")


def place_of(*, nodes: int) -> Mapping[str, str]:
    """Return the environment variables by which this node's processes find the others.

    Raises:
        RecipeError: There are several nodes, and the environment does not identify this one.
    """
    if nodes == 1:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        return {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "NODE_RANK": "0"}
    missing = [name for name in _PLACE if not os.environ.get(name)]
    if missing:
        raise RecipeError(
            f"--nodes {nodes}: {', '.join(missing)} must be set on every node, or start the processes with "
            "torchrun or srun; see docs/cluster.md."
        )
    return {name: os.environ[name] for name in _PLACE}
