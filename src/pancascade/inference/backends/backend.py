"""Names of the backends that can run networks, and tests of which are installed."""

from importlib.util import find_spec
from typing import Literal

Backend = Literal["auto", "torch", "openvino", "onnxruntime"]
"""Backend of the networks; ``auto`` takes the fastest installed one."""

SIZES_KEPT = 4
"""Number of image sizes for which a network is kept compiled."""

Precision = Literal["bf16", "f32"]
"""Precision in which OpenVINO computes; results are float32 in both."""


def openvino_available() -> bool:
    """Return whether OpenVINO is installed, without importing it."""
    return find_spec("openvino") is not None


def onnxruntime_available() -> bool:
    """Return whether ONNX Runtime is installed, without importing it."""
    return find_spec("onnxruntime") is not None


def torch_available() -> bool:
    """Return whether torch is installed, without importing it."""
    return find_spec("torch") is not None
