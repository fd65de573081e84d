"""Networks of a cascade run by OpenVINO instead of torch, on a CPU."""

import copy
import hashlib
import logging
from collections import OrderedDict
from collections.abc import Callable
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
"""How far OpenVINO's maps may be from torch's on the first image: norm of the difference, relative to torch's."""

_log = logging.getLogger(__name__)

_Compiled = Callable[[Tensor], Any]


def accelerated(cascade: Cascade, device: torch.device, *, backend: Backend = "auto") -> tuple[Cascade, str]:
    """A cascade as fast as the machine can run it, and what runs it.

    Args:
        cascade: On the device, in evaluation mode.
        device: Where it runs.
        backend: What shall run it. ``auto`` takes OpenVINO on a CPU where it is installed, else torch.

    Returns:
        A cascade with OpenVINO in its networks' place, or, for torch on a CPU, with fused networks; and what
        `backend_name` says of it.

    Raises:
        PancascadeError: ``openvino`` is asked for where it is not installed, or on another device than a CPU.
    """
    if backend == "openvino" and not openvino_available():
        raise PancascadeError("OpenVINO is not installed. Run pip install openvino, or take another --backend.")
    if backend == "openvino" and device.type != "cpu":
        raise PancascadeError(f"OpenVINO runs on the CPU, not on {device}. Take --device cpu, or the engine torch.")
    if backend != "torch" and device.type == "cpu" and openvino_available():
        cascade = accelerate(cascade, precision="bf16" if has_fast_bfloat16(device) else "f32")
    elif device.type == "cpu":
        cascade = fused_for_inference(cascade)
    return cascade, backend_name(cascade, device)


def accelerate(cascade: Cascade, *, precision: Precision) -> Cascade:
    """A cascade with OpenVINO in the place of its networks.

    Networks on volumes stay with torch: each volume has a size of its own, and would be compiled for one use; so do
    those on crops that are not resized. So does the saliency transformation, which is too small to matter.

    Args:
        cascade: In evaluation mode, on the CPU; it stays as it is, and shares its weights.
        precision: What OpenVINO computes in.

    Returns:
        The new cascade, or the same one where nothing can be replaced.
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
    """What runs a cascade, in words: ``OpenVINO bf16``, ``torch bf16``, ``torch f32``, or parts of both.

    Ask after the run to learn where OpenVINO was given up.
    """
    by_torch = f"torch {'bf16' if has_fast_bfloat16(device) else 'f32'}"
    networks = [child for child in cascade.children() if isinstance(child, OpenVinoNetwork)]
    given_up = [network.name for network in networks if network.given_up is not None]
    if len(given_up) == len(networks):
        return by_torch
    by_openvino = f"OpenVINO {networks[0].precision}"
    return f"{by_openvino}, {by_torch} for {' and '.join(given_up)}" if given_up else by_openvino


class OpenVinoNetwork(nn.Module):
    """Stands in for a network: the same images in, the same maps out, float32, without gradient.

    It is compiled for each size of images when that comes first, for batches of any size, compared with torch on the
    first image, and kept on disk (`compiled_cache`). Where that fails, or the two disagree, torch runs from then on,
    and the reason is logged.

    Attributes:
        network: The network that it stands in for.
        precision: What OpenVINO computes in.
        name: What the cascade calls the network.
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
        """Sizes (C, *S) of images that OpenVINO is ready for."""
        return list(self._compiled)

    def forward(self, images: Tensor) -> Any:
        """What the network returns for images (B, C, *S)."""
        if self.given_up is None and len(images) and not self.training:
            try:
                return self._for(images)(images)
            except (ArithmeticError, ImportError, LookupError, RuntimeError, TypeError, ValueError) as error:
                self.given_up = " ".join(str(error).split())[:200] or type(error).__name__
                self._compiled.clear()
                _log.warning("OpenVINO cannot run the network %s (%s); torch does.", self.name, self.given_up)
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
    """The network as a function of batches (B, C, *S) of images of that size.

    A network that was compiled before on this machine comes from the cache; another one is proven on one image.

    Raises:
        ArithmeticError: OpenVINO's answer to the image is not torch's.
        LookupError: The network does something that has no counterpart in OpenVINO.
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
    # Two images, so that the batch's size is tried as well.
    for maps, wanted in zip(tree_leaves(answer(image.expand(2, *image.shape[1:]))), reference, strict=True):
        _require_close(maps, wanted, precision)
    try:
        note = treespec_dumps(arrangement)
    except NotImplementedError:  # an arrangement of a class of its own: compiled anew each time
        return answer
    compiled_cache.keep(key, compiled, note=note)
    return answer


def _about(network: nn.Module, shape: tuple[int, ...]) -> list[object]:
    """All that the compiled form of a network for images (C, *S) depends on, but OpenVINO itself."""
    digest = hashlib.blake2b(digest_size=16)
    for name, values in network.state_dict().items():
        digest.update(name.encode())
        digest.update(values.detach().contiguous().numpy().tobytes())
    return [repr(network), shape, digest.hexdigest(), torch.__version__]


def _answering(compiled: "CompiledModel", arrangement: "TreeSpec") -> _Compiled:
    """A compiled network as a function of batches that returns its maps as torch's network does."""
    from pancascade.inference.backends.openvino_graph import arrange

    request, count = compiled.create_infer_request(), len(compiled.outputs)

    def answer(images: Tensor) -> Any:
        batch = images.detach().float().contiguous().numpy()
        found = request.infer([batch], share_inputs=True)
        return arrange([torch.from_numpy(found[index]) for index in range(count)], arrangement)

    return answer


def _require_close(answer: Tensor, wanted: Tensor, precision: Precision) -> None:
    if answer.shape[1:] != wanted.shape[1:] or len(answer) != 2:
        raise ArithmeticError(f"it answers {tuple(answer.shape)} where torch answers {tuple(wanted.shape)}")
    off = float((answer - wanted).norm() / wanted.expand_as(answer).norm().clamp(min=1e-6))
    if not off <= TOLERANCE[precision]:
        raise ArithmeticError(f"it answers {off:.2g} off torch's answer, more than {TOLERANCE[precision]:g}")
