"""Run the networks of a cascade with OpenVINO instead of torch, on a CPU."""

import copy
import hashlib
import logging
from collections import OrderedDict
from collections.abc import Callable
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves, treespec_dumps, treespec_loads

from pancascade.errors import PancascadeError
from pancascade.inference.backends.backend import SIZES_KEPT, Backend, Precision, openvino_available
from pancascade.inference.backends.fused_networks import fused_for_inference
from pancascade.inference.backends.precision import has_fast_bfloat16
from pancascade.methods.cascades import Cascade
from pancascade.methods.networks.build import NETWORKS
from pancascade.methods.networks.saliency import SaliencyTransformation

if TYPE_CHECKING:
    from openvino import CompiledModel
    from torch.utils._pytree import TreeSpec

TOLERANCE: dict[Precision, float] = {"bf16": 0.05, "f32": 1e-3}
"""Largest norm of the difference of OpenVINO's maps from torch's on the first image, relative to torch's norm."""

_log = logging.getLogger(__name__)

_Compiled = Callable[[Tensor], Any]


def accelerated(cascade: Cascade, device: torch.device, *, backend: Backend = "auto") -> tuple[Cascade, str]:
    """Return a cascade in the fastest form for the machine, and the name of what runs it.

    Args:
        cascade: On the device, in evaluation mode.
        device: Where it runs.
        backend: What runs it. ``auto`` takes OpenVINO on a CPU where it is installed, else torch.

    Returns:
        A cascade with OpenVINO networks or, for torch on a CPU, with fused networks; and the name by
        `backend_name`.

    Raises:
        PancascadeError: ``openvino`` is requested where it is not installed, or on another device than a CPU.
    """
    if backend == "openvino" and not openvino_available():
        raise PancascadeError("OpenVINO is not installed. Run pip install openvino, or choose another --backend.")
    if backend == "openvino" and device.type != "cpu":
        raise PancascadeError(f"OpenVINO runs on the CPU, not on {device}. Use --device cpu, or --backend torch.")
    if backend != "torch" and device.type == "cpu" and openvino_available():
        cascade = accelerate(cascade, precision="bf16" if has_fast_bfloat16(device) else "f32")
    elif device.type == "cpu":
        cascade = fused_for_inference(cascade)
    return cascade, backend_name(cascade, device)


def accelerate(cascade: Cascade, *, precision: Precision) -> Cascade:
    """Return a cascade whose networks are run by OpenVINO.

    Networks on volumes stay with torch: each volume has its own size, so that it would be compiled for one use. The
    same holds for networks on crops that are not resized. The saliency transformation is too small to matter.

    Args:
        cascade: In evaluation mode, on the CPU; it is not changed, and shares its weights.
        precision: Precision in which OpenVINO computes.

    Returns:
        The new cascade, or the same one if no network can be replaced.
    """
    replaced = {
        name: OpenVinoNetwork(network, precision=precision, name=name)
        for name, network in cascade.named_children()
        if isinstance(network, tuple(NETWORKS.values())) and not isinstance(network, SaliencyTransformation)
        if name not in cascade.any_size
    }
    if cascade.dimensions == 3 or not replaced:
        return cascade
    faster = copy.copy(cascade)
    faster._modules = {**cascade._modules, **replaced}
    return faster


def backend_name(cascade: Cascade, device: torch.device) -> str:
    """Return what runs a cascade, in words: ``OpenVINO bf16``, ``torch bf16``, ``torch f32``, or parts of both.

    Only after a run does it include networks for which OpenVINO was given up.
    """
    by_torch = f"torch {'bf16' if has_fast_bfloat16(device) else 'f32'}"
    networks = [child for child in cascade.children() if isinstance(child, OpenVinoNetwork)]
    given_up = [network.name for network in networks if network.given_up is not None]
    if len(given_up) == len(networks):
        return by_torch
    by_openvino = f"OpenVINO {networks[0].precision}"
    return f"{by_openvino}, {by_torch} for {' and '.join(given_up)}" if given_up else by_openvino


class OpenVinoNetwork(nn.Module):
    """Replaces a network: same images in, same maps out, float32, without gradient.

    It is compiled when a size of images first comes, for batches of any size, compared with torch on the first image,
    and kept on disk (`compiled_cache`). If that fails, or if the two differ, torch runs from then on, and the reason is
    logged.

    Attributes:
        network: The network that it replaces.
        precision: Precision in which OpenVINO computes.
        name: Name of the network in the cascade.
        given_up: Why torch runs instead; None while OpenVINO does.
    """

    def __init__(self, network: nn.Module, *, precision: Precision, name: str = "network") -> None:
        super().__init__()
        self.network = network
        self.precision: Precision = precision
        self.name = name
        self.given_up: str | None = None
        self._compiled: OrderedDict[tuple[int, ...], _Compiled] = OrderedDict()
        self.train(network.training)

    @property
    def sizes(self) -> list[tuple[int, ...]]:
        """Sizes (C, *S) of images for which it is compiled."""
        return list(self._compiled)

    def forward(self, images: Tensor) -> Any:
        """Return the network's output for images (B, C, *S)."""
        if self.given_up is None and len(images) and not self.training:
            try:
                return self._for(images)(images)
            except (ArithmeticError, ImportError, LookupError, RuntimeError, TypeError, ValueError) as error:
                self.given_up = " ".join(str(error).split())[:200] or type(error).__name__
                self._compiled.clear()
                _log.warning("OpenVINO cannot run the network %s (%s); torch runs it.", self.name, self.given_up)
        return self.network(images)

    def _for(self, images: Tensor) -> _Compiled:
        size = tuple(images.shape[1:])
        if size not in self._compiled:
            self._compiled[size] = _compile(self.network, images[:1].float(), precision=self.precision)
        self._compiled.move_to_end(size)
        while len(self._compiled) > SIZES_KEPT:
            self._compiled.popitem(last=False)
        return self._compiled[size]


def _compile(network: nn.Module, image: Tensor, *, precision: Precision) -> _Compiled:
    """Return the network as a function of batches (B, C, *S) of images of one size.

    A network that was compiled before on this machine is read from the cache; a new one is compared with torch.

    Raises:
        ArithmeticError: OpenVINO's output for the image differs from torch's.
        LookupError: The network uses an operator that has no counterpart in OpenVINO.
        RuntimeError: OpenVINO cannot compile it.
    """
    from pancascade.inference.backends import compiled_cache, openvino_graph
    from pancascade.inference.backends.openvino_core import core, cpu_options

    options = cpu_options(precision, threads=torch.get_num_threads())
    processor = str(core().get_property("CPU", "FULL_DEVICE_NAME"))
    key = compiled_cache.key_of(_about(network, tuple(image.shape[1:])), options, device=processor)
    found = compiled_cache.kept(key, core(), options)
    if found is not None:
        return _answering(found[0], treespec_loads(found[1]))
    graph, reference, arrangement = openvino_graph.record(network, image)
    compiled = openvino_graph.compiled(graph, options)
    answer = _answering(compiled, arrangement)
    # Two images, so that the batch size is tested as well.
    for maps, wanted in zip(tree_leaves(answer(image.expand(2, *image.shape[1:]))), reference, strict=True):
        _require_close(maps, wanted, precision)
    try:
        note = treespec_dumps(arrangement)
    except NotImplementedError:  # a structure of a class of its own: compiled again each time
        return answer
    compiled_cache.keep(key, compiled, note=note)
    return answer


def _about(network: nn.Module, shape: tuple[int, ...]) -> list[object]:
    """Return all that the compiled form of a network for images (C, *S) depends on, except OpenVINO itself."""
    digest = hashlib.blake2b(digest_size=16)
    for name, values in network.state_dict().items():
        digest.update(name.encode())
        digest.update(values.detach().contiguous().numpy().tobytes())
    # What a forward pass does may hang on attributes that no representation shows, and on the code of this version.
    options = [
        (
            name,
            sorted((key, value) for key, value in vars(module).items() if isinstance(value, str | int | float | tuple)),
        )
        for name, module in network.named_modules()
    ]
    return [repr(network), options, shape, digest.hexdigest(), torch.__version__, version("pancascade")]


def _answering(compiled: "CompiledModel", arrangement: "TreeSpec") -> _Compiled:
    """Return a compiled network as a function of batches whose maps have the structure of torch's output."""
    from pancascade.inference.backends.openvino_graph import arrange

    request, count = compiled.create_infer_request(), len(compiled.outputs)

    def answer(images: Tensor) -> Any:
        batch = images.detach().float().contiguous().numpy()
        found = request.infer([batch], share_inputs=True)
        return arrange([torch.from_numpy(found[index]) for index in range(count)], arrangement)

    return answer


def _require_close(answer: Tensor, wanted: Tensor, precision: Precision) -> None:
    if answer.shape[1:] != wanted.shape[1:] or len(answer) != 2:
        raise ArithmeticError(f"its output is {tuple(answer.shape)}, torch's {tuple(wanted.shape)}")
    off = float((answer - wanted).norm() / wanted.expand_as(answer).norm().clamp(min=1e-6))
    if not off <= TOLERANCE[precision]:
        raise ArithmeticError(f"its output differs from torch's by {off:.2g}, more than {TOLERANCE[precision]:g}")
