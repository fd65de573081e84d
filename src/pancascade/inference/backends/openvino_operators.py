"""A table of OpenVINO's counterparts of torch's operators: one function an operator.

A function takes the operator's arguments as torch gives them, with OpenVINO's nodes in place of tensors, and returns
the node of the result. Axis 0 is the batch, of any size.
"""

from collections.abc import Callable, Sequence
from typing import Any

from openvino import opset13 as ops

from pancascade.inference.backends.openvino_image_operators import (
    batch_norm,
    bilinear,
    convolution,
    max_pool,
    mean_pool,
    nearest,
    pad,
    repeat_edge,
)
from pancascade.inference.backends.openvino_values import UnknownOperatorError, Value, number, rank, sides, whole


def limited(values: Value, lowest: float = -1.0, highest: float = 1.0) -> Value:
    """Clamp values to a range, as ReLU6 does (0 to 6)."""
    return ops.clamp(values, float(lowest), float(highest))


def leaky(values: Value, slope: float = 0.01) -> Value:
    """Leaky ReLU."""
    return ops.prelu(values, number(slope))


def mean(values: Value, axes: Sequence[int] | None = None, keep: bool = False) -> Value:
    """Mean over axes other than the batch; torch may count axes from the last one, and no axes mean all."""
    number_of_axes = rank(values)
    places = [axis % number_of_axes for axis in axes or range(number_of_axes)]
    if 0 in places:
        raise UnknownOperatorError("mean over the batch")
    return ops.reduce_mean(values, whole(places), keep)


def cut(images: Value, axis: int = 0, start: int | None = None, stop: int | None = None, step: int = 1) -> Value:
    """Slice along one axis."""
    last = 2**31 - 1 if stop is None else min(stop, 2**31 - 1)
    return ops.slice(images, whole([start or 0]), whole([last]), whole([step]), whole([axis]))


def view(values: Value, size: Sequence[int]) -> Value:
    """Reshape; the batch stays axis 0."""
    return ops.reshape(values, whole([0, *size[1:]]), True)


def expand(values: Value, size: Sequence[int], *, implicit: bool = False) -> Value:
    """Repeat values along axes of length 1, but not along the batch."""
    wanted = [1, *(max(side, 1) for side in size[1:])]  # −1 keeps an axis unchanged, and so does 1
    if all(side in (1, given) for side, given in zip(wanted[1:], sides(values), strict=True)):
        return values
    return ops.broadcast(values, whole(wanted), broadcast_spec="BIDIRECTIONAL")


def transpose(values: Value, one: int, other: int) -> Value:
    """Exchange two axes."""
    order = list(range(rank(values)))
    order[one], order[other] = order[other], order[one]
    if order[0] != 0:
        raise UnknownOperatorError("the batch exchanged with another axis")
    return ops.transpose(values, whole(order))


def softmax(values: Value, axis: int, _half_to_float: bool) -> Value:
    """Softmax along an axis."""
    return ops.softmax(values, axis)


def softplus(values: Value, beta: float = 1, threshold: float = 20) -> Value:
    """log(1 + eˣ); torch's threshold only avoids the exponential."""
    if beta != 1:
        raise UnknownOperatorError(f"softplus with β = {beta}")
    return ops.softplus(values)


def add(one: Value, other: Any, *, alpha: float = 1) -> Value:
    """Return one + α · other."""
    return ops.add(one, _scaled(other, alpha))


def subtract(one: Value, other: Any, *, alpha: float = 1) -> Value:
    """Return one − α · other."""
    return ops.subtract(one, _scaled(other, alpha))


def subtract_from(one: Value, other: float, alpha: float = 1) -> Value:
    """Return other − α · one."""
    return ops.subtract(number(other), _scaled(one, alpha))


def multiply(one: Value, other: Any) -> Value:
    """Elementwise product."""
    return ops.multiply(one, other if isinstance(other, Value) else number(other))


def divide(one: Value, other: Any) -> Value:
    """Elementwise quotient."""
    return ops.divide(one, other if isinstance(other, Value) else number(other))


def concatenate(parts: Sequence[Value], axis: int = 0) -> Value:
    """Concatenate along an axis."""
    return ops.concat(list(parts), axis)


def same(values: Value, *_arguments: Any, **_options: Any) -> Value:
    """Return the values: name, layout or copies differ in torch only."""
    return values


OPERATORS: dict[str, Callable[..., Value]] = {
    "aten._prelu_kernel": ops.prelu,
    "aten._softmax": softmax,
    "aten._unsafe_view": view,
    "aten.add": add,
    "aten.add_": add,
    "aten.alias": same,
    "aten.avg_pool2d": mean_pool,
    "aten.bmm": lambda one, other: ops.matmul(one, other, False, False),
    "aten.cat": concatenate,
    "aten.clone": same,
    "aten.constant_pad_nd": pad,
    "aten.convolution": convolution,
    "aten.detach": same,
    "aten.div": divide,
    "aten.exp": ops.exp,
    "aten.expand": expand,
    "aten.hardtanh": limited,
    "aten.hardtanh_": limited,
    "aten.leaky_relu": leaky,
    "aten.leaky_relu_": leaky,
    "aten.mean": mean,
    "aten.max_pool2d_with_indices": max_pool,
    "aten.max_pool3d_with_indices": max_pool,
    "aten.mul": multiply,
    "aten.native_batch_norm": batch_norm,
    "aten.relu": ops.relu,
    "aten.relu_": ops.relu,
    "aten.replication_pad2d": repeat_edge,
    "aten.rsub": subtract_from,
    "aten.sigmoid": ops.sigmoid,
    "aten.slice": cut,
    "aten.softplus": softplus,
    "aten.sqrt": ops.sqrt,
    "aten.sub": subtract,
    "aten.transpose": transpose,
    "aten.upsample_bilinear2d": bilinear,
    "aten.upsample_nearest2d": nearest,
    "aten.view": view,
}
"""OpenVINO's counterpart of each torch operator, by its name without overload."""


def _scaled(value: Any, factor: float) -> Value:
    node = value if isinstance(value, Value) else number(value)
    return node if factor == 1 else ops.multiply(node, number(factor))
