"""Checkpoints as cascades of torch on a device: for all that ONNX files cannot do, and for measuring stages."""

from pathlib import Path

import torch

from pancascade.imaging.preprocessing import VolumeGrid
from pancascade.inference.backends.backend import Backend
from pancascade.inference.backends.openvino_networks import accelerated
from pancascade.inference.backends.torch_cascade import TorchCascade
from pancascade.inference.runners.slice_runner import SliceEngine
from pancascade.inference.runners.volume_runner import VolumeEngine
from pancascade.methods.checkpoint import load_checkpoint
from pancascade.methods.weights_file import TRAINED_ON


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
