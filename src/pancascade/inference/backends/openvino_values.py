"""Values in an OpenVINO graph, as used by the table of operators. Axis 0 is the batch, of any size."""

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
from openvino import Node, Output
from openvino import opset13 as ops

Value: TypeAlias = Node | Output
"""A tensor in an OpenVINO graph."""


class UnknownOperatorError(LookupError):
    """The table has no counterpart of an operator, or of one of its arguments."""


def number(value: float) -> Value:
    """Return a constant number, float32."""
    return ops.constant(np.array(value, np.float32))


def whole(values: Sequence[int]) -> Value:
    """Return a constant list of whole numbers, int64."""
    return ops.constant(np.array(values, np.int64))


def rank(value: Value) -> int:
    """Return the number of axes."""
    return 1 + len(sides(value))


def sides(value: Value) -> list[int]:
    """Return the lengths of all axes but the batch."""
    # A node with one output stands for it; only the output knows its shape.
    result = value.output(0) if isinstance(value, Node) else value
    return [side.get_length() for side in list(result.get_partial_shape())[1:]]
