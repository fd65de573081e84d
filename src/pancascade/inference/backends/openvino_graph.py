"""Record a torch network as an OpenVINO graph while it processes one image.

OpenVINO's own converter first traces the network with TorchScript. This takes 1 to 4 s and 100 MB for a network of this
package, more than OpenVINO saves on one scan. Recording takes as long as running the network once.
"""

from collections.abc import Callable, Mapping, Sequence
from inspect import signature
from typing import Any

import numpy as np
import openvino
import torch
from openvino import Node
from openvino import opset13 as ops
from torch import Tensor, nn
from torch._ops import OpOverload
from torch.nn import functional
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import TreeSpec, tree_flatten, tree_map_only, tree_unflatten

from pancascade.inference.backends.openvino_core import core
from pancascade.inference.backends.openvino_operators import OPERATORS
from pancascade.inference.backends.openvino_values import UnknownOperatorError, Value


class _Recorder(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Runs torch's operators, and records those that an image passes through."""

    def __init__(self, images: Tensor, node: Value) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.known: dict[int, Value] = {id(images): node}
        # An id belongs to a tensor only while the tensor lives.
        self.alive: list[Tensor] = [images]

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        # Skipping torch's compiler would first import it (1.5 s), and nothing is compiled here.
        return False

    def __torch_dispatch__(
        self,
        operator: OpOverload[..., Any],
        types: Sequence[type],
        arguments: tuple[Any, ...] = (),
        options: Mapping[str, Any] | None = None,
    ) -> Any:
        """Run the operator; record it if the image is among its arguments."""
        options = options or {}
        made = operator(*arguments, **options)
        tensors = [value for value in tree_flatten((arguments, options))[0] if isinstance(value, Tensor)]
        if any(id(tensor) in self.known for tensor in tensors):
            name = f"{operator.namespace}.{operator._opname}"
            if name not in OPERATORS:
                raise UnknownOperatorError(name)
            given = tree_map_only(Tensor, self.node, (list(arguments), dict(options)))
            node = OPERATORS[name](*given[0], **given[1])
            answer = made[0] if isinstance(made, tuple) else made
            _require_shape(node, answer, name)
            self._remember(answer, node)
        return made

    def node(self, tensor: Tensor) -> Value:
        """Return the node of a tensor; a constant if the tensor does not depend on the image."""
        if id(tensor) not in self.known:
            self._remember(tensor, ops.constant(np.ascontiguousarray(tensor.detach().float().numpy())))
        return self.known[id(tensor)]

    def _remember(self, tensor: Tensor, node: Value) -> None:
        self.known[id(tensor)] = node
        self.alive.append(tensor)


class _NormalisedImageByImage(TorchFunctionMode):
    """Runs instance and group normalisation as elementary arithmetic.

    Torch runs instance normalisation as batch normalisation in training mode, with the batch moved into the channels.
    A graph for batches of any size cannot express that.
    """

    def __torch_function__(
        self,
        function: Callable[..., Any],
        types: Sequence[type],
        arguments: tuple[Any, ...] = (),
        options: Mapping[str, Any] | None = None,
    ) -> Any:
        """Run these two normalisations as arithmetic, and every other function unchanged."""
        options = options or {}
        if function in (functional.instance_norm, functional.group_norm):
            known = signature(function).bind(*arguments, **options)
            known.apply_defaults()
            given = known.arguments
            groups = given.get("num_groups", given["input"].shape[1])
            if given.get("use_input_stats", True):
                return _standardised(given["input"], groups, given["weight"], given["bias"], given["eps"])
        return function(*arguments, **options)


def _standardised(images: Tensor, groups: int, weight: Tensor | None, bias: Tensor | None, epsilon: float) -> Tensor:
    """Return (x − mean) / √(variance + ε) for each group of channels of each image, scaled and shifted by channel."""
    parts = images.reshape(len(images), groups, -1)
    centred = parts - parts.mean(dim=2, keepdim=True)
    parts = centred / ((centred * centred).mean(dim=2, keepdim=True) + epsilon).sqrt()
    found = parts.reshape(images.shape)
    by_channel = (1, -1, *(1 for _ in images.shape[2:]))
    if weight is not None:
        found = found * weight.reshape(by_channel)
    return found if bias is None else found + bias.reshape(by_channel)


def _require_shape(node: Value, tensor: Tensor, name: str) -> None:
    """Refuse a node whose shape differs from torch's or whose batch size is fixed: OpenVINO would crash on it."""
    result = node.output(0) if isinstance(node, Node) else node
    batch, *sides = result.get_partial_shape()
    if batch.is_static or sides != list(tensor.shape[1:]):
        raise UnknownOperatorError(f"{name} gives {result.get_partial_shape()}, but torch {tuple(tensor.shape)}")


def record(network: nn.Module, images: Tensor) -> tuple[openvino.Model, list[Tensor], TreeSpec]:
    """Record a network as an OpenVINO graph for images of one size and batches of any size.

    Args:
        network: In evaluation mode, on the CPU, float32.
        images: (1, C, *S) float32, one image of that size.

    Returns:
        The graph; torch's output for the image, one tensor a map; the structure of these maps in the network's
        output.

    Raises:
        UnknownOperatorError: The network uses an operator, or an argument, that `OPERATORS` does not cover.
    """
    shape = openvino.PartialShape([-1, *images.shape[1:]])
    parameter = ops.parameter(shape, openvino.Type.f32, name="images")
    # In inference mode torch does not split composite operators.
    with torch.inference_mode(False), torch.no_grad(), torch.autocast("cpu", enabled=False):
        seen = images.detach().clone(memory_format=torch.contiguous_format)
        with _NormalisedImageByImage(), _Recorder(seen, parameter) as recorder:
            answer = network(seen)
    maps, arrangement = tree_flatten(answer)
    results = [ops.result(recorder.node(values)) for values in maps]
    return openvino.Model(results, [parameter], type(network).__name__), maps, arrangement


def compiled(graph: openvino.Model, options: Mapping[str, Any]) -> openvino.CompiledModel:
    """Compile a graph for the CPU.

    Args:
        graph: Graph by `record`.
        options: OpenVINO's properties by name.

    Raises:
        RuntimeError: OpenVINO cannot run it.
    """
    return core().compile_model(graph, "CPU", dict(options))


def arrange(maps: Sequence[Tensor], arrangement: TreeSpec) -> Any:
    """Arrange maps in the structure of the network's output."""
    return tree_unflatten(list(maps), arrangement)
