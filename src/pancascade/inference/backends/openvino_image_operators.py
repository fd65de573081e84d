"""OpenVINO's counterparts of torch's operators on images: convolution, pooling, resizing, padding."""

from collections.abc import Sequence

from openvino import opset13 as ops

from pancascade.inference.backends.openvino_values import UnknownOperatorError, Value, number, rank, sides, whole


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
    """Convolution or deconvolution in 2-D or 3-D; groups for a convolution only."""
    places = list(padding)
    if groups != 1:
        if transposed:
            raise UnknownOperatorError(f"deconvolution in {groups} groups")
        by_group = ops.reshape(weight, whole([groups, -1, *sides(weight)]), False)
        made = ops.group_convolution(images, by_group, list(stride), places, places, list(dilation))
    elif transposed:
        made = ops.convolution_backprop_data(
            images, weight, list(stride), None, places, places, list(dilation), output_padding=list(output_padding)
        )
    else:
        made = ops.convolution(images, weight, list(stride), places, places, list(dilation))
    if bias is None:
        return made
    return ops.add(made, ops.reshape(bias, whole([1, -1, *(1 for _ in places)]), False))


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
    """Batch normalisation by the learned statistics."""
    if training:
        raise UnknownOperatorError("batch normalisation in training mode")
    return ops.batch_norm_inference(images, weight, bias, mean, variance, epsilon)


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
        raise UnknownOperatorError("means of windows beyond the image, or with a divisor")
    steps, around = list(stride) or list(kernel), list(padding)
    return ops.avg_pool(images, steps, around, around, list(kernel), not count_padding)


def bilinear(images: Value, size: Sequence[int], align_corners: bool, *_scales: float | None) -> Value:
    """Resize images, linear between pixels."""
    places = "align_corners" if align_corners else "pytorch_half_pixel"
    return ops.interpolate(
        images, whole(size), "linear_onnx", "sizes", coordinate_transformation_mode=places, axes=whole([2, 3])
    )


def nearest(images: Value, size: Sequence[int], *_scales: float | None) -> Value:
    """Resize images to the nearest pixel, rounded down."""
    return ops.interpolate(
        images,
        whole(size),
        "nearest",
        "sizes",
        coordinate_transformation_mode="asymmetric",
        nearest_mode="floor",
        axes=whole([2, 3]),
    )


def pad(images: Value, widths: Sequence[int], value: float = 0.0) -> Value:
    """Pad with a constant; torch counts axes from the last one."""
    if not any(widths):
        return images
    missing = [0] * (rank(images) - len(widths) // 2)
    return ops.pad(
        images,
        whole([*missing, *reversed(widths[::2])]),
        whole([*missing, *reversed(widths[1::2])]),
        "constant",
        number(value),
    )


def repeat_edge(images: Value, widths: Sequence[int]) -> Value:
    """Pad with the outermost values; torch counts axes from the last one."""
    if not any(widths):
        return images
    missing = [0] * (rank(images) - len(widths) // 2)
    before, after = ([*missing, *reversed(widths[start::2])] for start in (0, 1))
    return ops.pad(images, whole(before), whole(after), "edge")
