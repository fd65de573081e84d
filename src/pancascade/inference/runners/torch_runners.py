"""Run checkpoints as torch cascades on a device, for what ONNX files cannot do and for measuring stages."""

from pathlib import Path

import torch

from pancascade.imaging.preprocessing import VolumeGrid
from pancascade.inference.backends.backend import Backend
from pancascade.inference.backends.openvino_networks import accelerated
from pancascade.inference.backends.torch_cascade import TorchCascade
from pancascade.inference.runners.slice_runner import SliceRunner
from pancascade.inference.runners.volume_runner import VolumeRunner
from pancascade.methods.checkpoint import load_checkpoint
from pancascade.methods.weights_file import TRAINED_ON


def load_runner(
    weights: Path,
    device: torch.device,
    *,
    smooth_along_z: bool = True,
    fallback_search: bool = False,
    backend: Backend = "torch",
) -> SliceRunner | VolumeRunner:
    """Load a checkpoint's cascade on a device, run by torch, or by OpenVINO networks.

    Args:
        weights: The checkpoint.
        device: Where it runs.
        smooth_along_z: See `SliceRunner`.
        fallback_search: See `SliceRunner`.
        backend: What runs its networks.

    Raises:
        CheckpointError: Weights are missing or damaged.
        PancascadeError: OpenVINO is requested and not installed, or the device is no CPU.
    """
    cascade, description = load_checkpoint(weights)
    trained_on = tuple(description.training.get(TRAINED_ON, ()))
    runnable = TorchCascade(accelerated(cascade.to(device), device, backend=backend)[0], device)
    if isinstance(description.canvas, VolumeGrid):
        return VolumeRunner(runnable, description.canvas, trained_on, fallback_search)
    return SliceRunner(runnable, description.canvas, smooth_along_z, trained_on, fallback_search)


def torch_cascade_of(runner: SliceRunner | VolumeRunner) -> TorchCascade:
    """Return the torch cascade of a runner of `load_runner`.

    Raises:
        TypeError: Its networks are ONNX files.
    """
    if not isinstance(runner.cascade, TorchCascade):
        raise TypeError(f"expected a cascade of torch, got {type(runner.cascade).__name__}; see load_runner")
    return runner.cascade
