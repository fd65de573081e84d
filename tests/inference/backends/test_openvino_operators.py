"""Single operators, each against torch's."""

import numpy as np
import pytest
import torch
from torch.nn import functional

openvino = pytest.importorskip("openvino")

from openvino import opset13 as ops  # noqa: E402

from pancascade.inference.backends import openvino_operators as ours  # noqa: E402
from pancascade.inference.backends.openvino_values import UnknownOperatorError  # noqa: E402

CORE = openvino.Core()


def random(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def answer(images, build, *, any_batch=True):
    """What a graph of one input gives; axis 0 is of any length."""
    shape = [-1, *images.shape[1:]] if any_batch else list(images.shape)
    given = ops.parameter(shape, np.float32)
    model = openvino.Model([build(given)], [given])
    compiled = CORE.compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    return torch.from_numpy(compiled([images.numpy()])[0].copy())


def constant(tensor):
    return ops.constant(tensor.numpy())


def convolved(images, weight, bias=None, *, stride=1, padding=0, dilation=1, groups=1):
    two = [(value, value) for value in (stride, padding, dilation)]
    return answer(
        images,
        lambda given: ours.convolution(
            given, constant(weight), None if bias is None else constant(bias), *two, False, (0, 0), groups
        ),
    )


@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize(
    ("channels", "out", "groups"),
    [(6, 6, 6), (6, 12, 6), (6, 4, 2), (6, 5, 1)],
    ids=["depthwise", "wider", "two", "one"],
)
@pytest.mark.parametrize(("stride", "padding", "dilation"), [(1, 0, 1), (2, 1, 1), (1, 2, 2)])
def test_convolution_in_groups_is_torch_s(batch, channels, out, groups, stride, padding, dilation):
    images, weight, bias = random(batch, channels, 9, 11), random(out, channels // groups, 3, 3, seed=1), random(out)
    how = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
    expected = functional.conv2d(images, weight, bias, **how)
    torch.testing.assert_close(convolved(images, weight, bias, **how), expected, atol=1e-4, rtol=1e-4)


def test_a_depthwise_convolution_without_bias_is_torch_s():
    images, weight = random(2, 4, 8, 8), random(4, 1, 5, 5)
    expected = functional.conv2d(images, weight, groups=4)
    torch.testing.assert_close(convolved(images, weight, groups=4), expected, atol=1e-4, rtol=1e-4)


def test_deconvolution_in_groups_has_no_counterpart():
    given = ops.parameter([-1, 4, 8, 8], np.float32)
    with pytest.raises(UnknownOperatorError, match="deconvolution in 2 groups"):
        ours.convolution(given, constant(random(4, 2, 2, 2)), None, (2, 2), (0, 0), (1, 1), True, (0, 0), 2)


@pytest.mark.parametrize("bounds", [(), (0.0, 6.0), (-0.5, 0.25)])
def test_hardtanh_is_torch_s_and_relu6_one_of_them(bounds):
    values = 5 * random(2, 3, 4)
    assert torch.equal(answer(values, lambda given: ours.limited(given, *bounds)), functional.hardtanh(values, *bounds))
    assert torch.equal(functional.hardtanh(values, 0.0, 6.0), functional.relu6(values))


@pytest.mark.parametrize("axes", [(2, 3), (-2, -1), (1,), (-1,), (1, 2, 3)])
@pytest.mark.parametrize("keep", [True, False])
def test_the_mean_over_axes_is_torch_s_however_they_are_counted(axes, keep):
    values = random(2, 3, 4, 5)
    expected = values.mean(dim=axes, keepdim=keep)
    torch.testing.assert_close(answer(values, lambda given: ours.mean(given, list(axes), keep)), expected)


@pytest.mark.parametrize("axes", [(0,), (-4,), (0, 1), (), None])
def test_a_mean_over_the_batch_has_no_counterpart(axes):
    with pytest.raises(UnknownOperatorError, match="mean over the batch"):
        ours.mean(ops.parameter([-1, 3, 4, 5], np.float32), axes)


def test_the_operators_are_known_by_torch_s_names():
    assert ours.OPERATORS["aten.hardtanh"] is ours.OPERATORS["aten.hardtanh_"] is ours.limited
    assert ours.OPERATORS["aten.mean"] is ours.mean
