"""What can run networks, and which of it is installed."""

from importlib.util import find_spec
from typing import Literal

Backend = Literal["auto", "torch", "openvino", "onnxruntime"]
"""What runs the networks; ``auto`` takes the fastest that is there."""

SIZES_KEPT = 4
"""Sizes of images for which a network is kept ready."""

Precision = Literal["bf16", "f32"]
"""What OpenVINO computes in; results are float32 either way."""


def openvino_available() -> bool:
    """Whether OpenVINO is installed; it is not imported."""
    return find_spec("openvino") is not None


def onnxruntime_available() -> bool:
    """Whether ONNX Runtime is installed; it is not imported."""
    return find_spec("onnxruntime") is not None


def torch_available() -> bool:
    """Whether torch is installed; it is not imported."""
    return find_spec("torch") is not None
