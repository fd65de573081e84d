"""Tiny ONNX networks, made node by node."""

import json
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

DESCRIPTION = {
    "axes": "LPS",
    "clip_hu": [-100, 240],
    "patch": [8, 8, 8],
    "labels": {"pancreas": [1], "tumour": [2]},
}


def write_convolution(
    path: Path, weights: np.ndarray, bias: np.ndarray, *, described: dict | None = None, channels: int = 1, sides="free"
) -> Path:
    """One convolution (C, channels, *kernel) that keeps the size, and its description."""
    dimensions = weights.ndim - 2
    shape = ["n", channels, *([f"d{axis}" for axis in range(dimensions)] if sides == "free" else sides)]
    pads = [side // 2 for side in weights.shape[2:]] * 2
    node = helper.make_node("Conv", ["image", "weights", "bias"], ["answer"], pads=pads)
    graph = helper.make_graph(
        [node],
        "tiny",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("answer", TensorProto.FLOAT, None)],
        [
            numpy_helper.from_array(weights.astype(np.float32), "weights"),
            numpy_helper.from_array(bias.astype(np.float32), "bias"),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, path)
    path.with_suffix(".json").write_text(json.dumps(DESCRIPTION | (described or {})))
    return path


def by_brightness(path: Path, **described) -> Path:
    """The phantom's organs by their Hounsfield units: logits 0, 60 (x - organ), 60 (x - tumour) · 3."""
    organ, tumour = (95 + 100) / 340, (190 + 100) / 340
    weights = np.array([0, 60, 240.0]).reshape(3, 1, 1, 1, 1)
    return write_convolution(path, weights, np.array([0, -60 * organ, -240 * tumour + 30]), described=described)
