"""Execution of work on many cases: in processes of this machine, or on a Ray cluster."""

from pancascade.execution.executor import Executor, Finished, each_job
from pancascade.execution.local_processes import LocalProcesses
from pancascade.execution.ray_cluster import RayCluster

__all__ = ["Executor", "Finished", "LocalProcesses", "RayCluster", "each_job"]
