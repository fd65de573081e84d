"""Checkpoints as cascades of torch on a device: for all that ONNX files cannot do, and for measuring stages."""

from pathlib import Path

import torch

from pancascade.checkpoint import load_checkpoint
from pancascade.engines.backend import Backend
from pancascade.engines.openvino_networks import accelerated
from pancascade.engines.torch_cascade import TorchCascade
from pancascade.inference.engine import SliceEngine
from pancascade.inference.volume_engine import VolumeEngine
from pancascade.preprocessing import VolumeGrid
from pancascade.weights_file import TRAINED_ON


def load_engine(
    weights: Path,
    device: torch.device,
    *,
    consistent: bool = True,
    rescue: bool = False,
    backend: Backend = "torch",
) -> SliceEngine | VolumeEngine:
    """A checkpoint's cascade on a device, by torch, or by OpenVINO in the place of its networks.

    Args:
        weights: The checkpoint.
        device: Where it runs.
        consistent: See `SliceEngine`.
        rescue: See `SliceEngine`.
        backend: What runs its networks.

    Raises:
        CheckpointError: Weights are missing or damaged.
        PancascadeError: OpenVINO is asked for and not there, or not on a CPU.
    """
    cascade, description = load_checkpoint(weights)
    trained_on = tuple(description.training.get(TRAINED_ON, ()))
    runnable = TorchCascade(accelerated(cascade.to(device), device, backend=backend)[0], device)
    if isinstance(description.canvas, VolumeGrid):
        return VolumeEngine(runnable, description.canvas, trained_on, rescue)
    return SliceEngine(runnable, description.canvas, consistent, trained_on, rescue)


def torch_cascade_of(engine: SliceEngine | VolumeEngine) -> TorchCascade:
    """The cascade of torch that an engine of `load_engine` runs.

    Raises:
        TypeError: Its networks are ONNX files.
    """
    if not isinstance(engine.cascade, TorchCascade):
        raise TypeError(f"expected a cascade of torch, got {type(engine.cascade).__name__}; see load_engine")
    return engine.cascade
