"""What torch's operators are called in OpenVINO: one function an operator, in a table.

A function takes the operator's arguments as torch gives them, tensors replaced by OpenVINO's nodes, and returns the
node of its result. Axis 0 is the batch, of any size.
"""

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import numpy as np
from openvino import Node, Output
from openvino import opset13 as ops

Value: TypeAlias = Node | Output
"""A tensor in OpenVINO's graph."""


class UnknownOperatorError(LookupError):
    """An operator, or an argument of it, has no counterpart in the table."""


def convolution(
    images: Value,
    weight: Value,
    bias: Value | None,
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    transposed: bool,
    output_padding: Sequence[int],
    groups: int,
) -> Value:
    """Convolution or deconvolution in 2-D or 3-D; in groups only a convolution."""
    places = list(padding)
    if groups != 1:
        if transposed:
            raise UnknownOperatorError(f"deconvolution in {groups} groups")
        sides = _sides(weight)
        by_group = ops.reshape(weight, _whole([groups, -1, *sides]), False)
        made = ops.group_convolution(images, by_group, list(stride), places, places, list(dilation))
    elif transposed:
        made = ops.convolution_backprop_data(
            images, weight, list(stride), None, places, places, list(dilation), output_padding=list(output_padding)
        )
    else:
        made = ops.convolution(images, weight, list(stride), places, places, list(dilation))
    if bias is None:
        return made
    return ops.add(made, ops.reshape(bias, _whole([1, -1, *(1 for _ in places)]), False))


def batch_norm(
    images: Value,
    weight: Value,
    bias: Value,
    mean: Value,
    variance: Value,
    training: bool,
    _momentum: float,
    epsilon: float,
) -> Value:
    """Batch normalisation by what was learnt."""
    if training:
        raise UnknownOperatorError("batch normalisation in training mode")
    return ops.batch_norm_inference(images, weight, bias, mean, variance, epsilon)


def limited(values: Value, lowest: float = -1.0, highest: float = 1.0) -> Value:
    """Values cut to a range: ReLU6 is one from 0 to 6."""
    return ops.clamp(values, float(lowest), float(highest))


def leaky(values: Value, slope: float = 0.01) -> Value:
    """Leaky ReLU."""
    return ops.prelu(values, _number(slope))


def mean(values: Value, axes: Sequence[int] | None = None, keep: bool = False) -> Value:
    """Mean over axes other than the batch; torch may count them from the last one, and means all by none."""
    rank = _rank(values)
    places = [axis % rank for axis in axes or range(rank)]
    if 0 in places:
        raise UnknownOperatorError("mean over the batch")
    return ops.reduce_mean(values, _whole(places), keep)


def max_pool(
    images: Value,
    kernel: Sequence[int],
    stride: Sequence[int] = (),
    padding: Sequence[int] = (0, 0, 0),
    dilation: Sequence[int] = (1, 1, 1),
    ceil: bool = False,
) -> Value:
    """Largest value in each window."""
    axes = len(kernel)
    around = list(padding)[:axes]
    steps = list(stride) or list(kernel)
    rounding = "ceil" if ceil else "floor"
    return ops.max_pool(images, steps, list(dilation)[:axes], around, around, list(kernel), rounding).output(0)


def mean_pool(
    images: Value,
    kernel: Sequence[int],
    stride: Sequence[int] = (),
    padding: Sequence[int] = (0, 0),
    ceil: bool = False,
    count_padding: bool = True,
    divisor: int | None = None,
) -> Value:
    """Mean of each window."""
    if ceil or divisor is not None:
        raise UnknownOperatorError("means of windows that reach out of the image, or over another number")
    steps, around = list(stride) or list(kernel), list(padding)
    return ops.avg_pool(images, steps, around, around, list(kernel), not count_padding)


def bilinear(images: Value, size: Sequence[int], align_corners: bool, *_scales: float | None) -> Value:
    """Images at another size, linear between pixels."""
    places = "align_corners" if align_corners else "pytorch_half_pixel"
    return ops.interpolate(
        images, _whole(size), "linear_onnx", "sizes", coordinate_transformation_mode=places, axes=_whole([2, 3])
    )


def nearest(images: Value, size: Sequence[int], *_scales: float | None) -> Value:
    """Images at another size, the pixel at the lower corner."""
    return ops.interpolate(
        images,
        _whole(size),
        "nearest",
        "sizes",
        coordinate_transformation_mode="asymmetric",
        nearest_mode="floor",
        axes=_whole([2, 3]),
    )


def pad(images: Value, widths: Sequence[int], value: float = 0.0) -> Value:
    """A constant around; torch counts axes from the last one."""
    if not any(widths):
        return images
    missing = [0] * (_rank(images) - len(widths) // 2)
    return ops.pad(
        images,
        _whole([*missing, *reversed(widths[::2])]),
        _whole([*missing, *reversed(widths[1::2])]),
        "constant",
        _number(value),
    )


def repeat_edge(images: Value, widths: Sequence[int]) -> Value:
    """The outermost values repeated; torch counts axes from the last one."""
    if not any(widths):
        return images
    missing = [0] * (_rank(images) - len(widths) // 2)
    before, after = ([*missing, *reversed(widths[start::2])] for start in (0, 1))
    return ops.pad(images, _whole(before), _whole(after), "edge")


def cut(images: Value, axis: int = 0, start: int | None = None, stop: int | None = None, step: int = 1) -> Value:
    """A slice along one axis."""
    last = 2**31 - 1 if stop is None else min(stop, 2**31 - 1)
    return ops.slice(images, _whole([start or 0]), _whole([last]), _whole([step]), _whole([axis]))


def view(values: Value, size: Sequence[int]) -> Value:
    """Another shape; the batch stays in front."""
    return ops.reshape(values, _whole([0, *size[1:]]), True)


def expand(values: Value, size: Sequence[int], *, implicit: bool = False) -> Value:
    """Values repeated along axes of length 1, but not along the batch."""
    wanted = [1, *(max(side, 1) for side in size[1:])]  # −1 keeps an axis as it is, and so does 1
    if all(side in (1, given) for side, given in zip(wanted[1:], _sides(values), strict=True)):
        return values
    return ops.broadcast(values, _whole(wanted), broadcast_spec="BIDIRECTIONAL")


def transpose(values: Value, one: int, other: int) -> Value:
    """Two axes exchanged."""
    order = list(range(_rank(values)))
    order[one], order[other] = order[other], order[one]
    if order[0] != 0:
        raise UnknownOperatorError("the batch exchanged with another axis")
    return ops.transpose(values, _whole(order))


def softmax(values: Value, axis: int, _half_to_float: bool) -> Value:
    """Softmax along an axis."""
    return ops.softmax(values, axis)


def softplus(values: Value, beta: float = 1, threshold: float = 20) -> Value:
    """log(1 + eˣ); the threshold only spares torch the exponent."""
    if beta != 1:
        raise UnknownOperatorError(f"softplus with β = {beta}")
    return ops.softplus(values)


def add(one: Value, other: Any, *, alpha: float = 1) -> Value:
    """One + α · other."""
    return ops.add(one, _scaled(other, alpha))


def subtract(one: Value, other: Any, *, alpha: float = 1) -> Value:
    """One − α · other."""
    return ops.subtract(one, _scaled(other, alpha))


def subtract_from(one: Value, other: float, alpha: float = 1) -> Value:
    """Other − α · one."""
    return ops.subtract(_number(other), _scaled(one, alpha))


def multiply(one: Value, other: Any) -> Value:
    """Elementwise product."""
    return ops.multiply(one, other if isinstance(other, Value) else _number(other))


def divide(one: Value, other: Any) -> Value:
    """Elementwise quotient."""
    return ops.divide(one, other if isinstance(other, Value) else _number(other))


def concatenate(parts: Sequence[Value], axis: int = 0) -> Value:
    """Parts side by side along an axis."""
    return ops.concat(list(parts), axis)


def same(values: Value, *_arguments: Any, **_options: Any) -> Value:
    """What only torch distinguishes: another name, layout or copy of the same values."""
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
"""OpenVINO's way to do what an operator of torch, by name without overload, does."""


def _scaled(value: Any, factor: float) -> Value:
    node = value if isinstance(value, Value) else _number(value)
    return node if factor == 1 else ops.multiply(node, _number(factor))


def _number(value: float) -> Value:
    return ops.constant(np.array(value, np.float32))


def _whole(values: Sequence[int]) -> Value:
    return ops.constant(np.array(values, np.int64))


def _rank(value: Value) -> int:
    return 1 + len(_sides(value))


def _sides(value: Value) -> list[int]:
    """Lengths of all axes but the batch."""
    # A node of one result stands for it; a result knows its own shape.
    result = value.output(0) if isinstance(value, Node) else value
    return [side.get_length() for side in list(result.get_partial_shape())[1:]]
