"""Connection of processes that train together."""

import socket
import time
from datetime import timedelta

from lightning_fabric.plugins.environments.cluster_environment import ClusterEnvironment
from lightning_fabric.plugins.environments.lightning import LightningEnvironment
from lightning_fabric.plugins.environments.torchelastic import TorchElasticEnvironment
from torch import distributed

WAITS_FOR = timedelta(hours=3)
"""Waiting time for a process that works longer, as the first one validates alone."""

COMES_WITHIN = timedelta(minutes=20)
"""Waiting time for a process that has not connected yet."""

_KNOCKS_EVERY_S = 0.2


def connect(environment: ClusterEnvironment, devices: int, size: int, *, backend: str) -> None:
    """Join the group of processes. With torchrun, Fabric does this.

    Args:
        environment: Gives the address of the first process, and the rank of this one.
        devices: Number of processes per node.
        size: Number of processes of all nodes.
        backend: ``gloo`` or ``nccl``.

    Raises:
        OSError: The first process does not listen.
        RuntimeError: Not all have connected in time, or the port is in use.
    """
    if isinstance(environment, TorchElasticEnvironment):
        return
    rank = environment.global_rank()
    if isinstance(environment, LightningEnvironment):  # Fabric sets its rank later
        rank = environment.node_rank() * devices + environment.local_rank()
    host, port = environment.main_address, environment.main_port
    if rank > 0:  # torch itself would try once, and then sleep for a large part of its time limit
        _wait_until_heard(host, port)
    store = distributed.TCPStore(host, port, size, is_master=rank == 0, timeout=COMES_WITHIN)  # type: ignore[attr-defined]
    distributed.init_process_group(backend, store=store, rank=rank, world_size=size, timeout=WAITS_FOR)


def _wait_until_heard(host: str, port: int) -> None:
    until = time.monotonic() + COMES_WITHIN.total_seconds()
    while True:
        try:
            socket.create_connection((host, port), timeout=COMES_WITHIN.total_seconds()).close()
        except OSError:
            if time.monotonic() > until:
                raise
            time.sleep(_KNOCKS_EVERY_S)
        else:
            return
