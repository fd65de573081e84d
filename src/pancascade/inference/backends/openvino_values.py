"""Values in OpenVINO's graph as the table of operators handles them. Axis 0 is the batch, of any size."""

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
from openvino import Node, Output
from openvino import opset13 as ops

Value: TypeAlias = Node | Output
"""A tensor in OpenVINO's graph."""


class UnknownOperatorError(LookupError):
    """An operator, or an argument of it, has no counterpart in the table."""


def number(value: float) -> Value:
    """A constant number, float32."""
    return ops.constant(np.array(value, np.float32))


def whole(values: Sequence[int]) -> Value:
    """A constant list of whole numbers."""
    return ops.constant(np.array(values, np.int64))


def rank(value: Value) -> int:
    """Number of its axes."""
    return 1 + len(sides(value))


def sides(value: Value) -> list[int]:
    """Lengths of all axes but the batch."""
    # A node of one result stands for it; a result knows its own shape.
    result = value.output(0) if isinstance(value, Node) else value
    return [side.get_length() for side in list(result.get_partial_shape())[1:]]
