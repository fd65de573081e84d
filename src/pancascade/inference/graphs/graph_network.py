"""Run a network in an ONNX file with OpenVINO or ONNX Runtime."""

from abc import ABC, abstractmethod
from collections import OrderedDict
from collections.abc import Callable, Sequence
from functools import cache, cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from pancascade.errors import CheckpointError
from pancascade.files.digests import content_digest
from pancascade.files.documents import shortened
from pancascade.inference.backends.backend import (
    SIZES_KEPT,
    Backend,
    Precision,
    onnxruntime_available,
    openvino_available,
)
from pancascade.inference.backends.threads import thread_count

if TYPE_CHECKING:
    import openvino

GraphBackend = Literal["openvino", "onnxruntime"]
"""Backend that runs ONNX files."""

Maps = list[NDArray[np.float32]]
"""All outputs of a network, in order; a cascade uses the last one."""


class GraphNetwork(ABC):
    """A network in an ONNX file, prepared when a size of images first comes, for batches of any size.

    Attributes:
        runs_on: What runs it, in words.
    """

    runs_on: str

    def __init__(self, path: Path) -> None:
        self.path = path
        self._ready: OrderedDict[tuple[int, ...], _Answer] = OrderedDict()

    def __call__(self, images: NDArray[np.float32]) -> Maps:
        """Return its output for images (B, C, h, w).

        Raises:
            CheckpointError: It cannot run, or was written for images of another size.
        """
        shape = images.shape[1:]
        if shape not in self._ready:
            self._ready[shape] = self._made_ready(shape)
        self._ready.move_to_end(shape)
        while len(self._ready) > SIZES_KEPT:
            self._ready.popitem(last=False)
        return self._ready[shape](np.ascontiguousarray(images, np.float32))

    @abstractmethod
    def _made_ready(self, shape: tuple[int, ...]) -> "_Answer":
        """Return a function that runs batches of images (C, h, w)."""

    def _require_size(self, sides: Sequence[object], shape: tuple[int, ...]) -> None:
        """Refuse images of another size than the file's; a side that is no number has any length."""
        if any(isinstance(side, int) and side != given for side, given in zip(sides, shape, strict=True)):
            wanted, given = ("x".join(map(str, some[1:])) for some in (sides, shape))
            raise CheckpointError(
                f"{self.path.name}: written for images of {wanted} pixels, but this scan needs {given}. Run it where "
                "torch is installed, with --backend torch."
            )


_Answer = Callable[[NDArray[np.float32]], Maps]


def graph_network(path: Path, *, backend: GraphBackend, weights: str, exact: bool = False) -> GraphNetwork:
    """Load a network from an ONNX file.

    Args:
        path: The file, with the tensors that it uses beside it.
        backend: Backend that runs it.
        weights: Digest of these tensors.
        exact: Whether it computes in float32, even if the processor is faster with another type.
    """
    if backend == "openvino":
        return _OpenVinoGraph(path, precision="f32" if exact else fast_precision(), weights=weights)
    return _OnnxRuntimeGraph(path)


def graph_backend(wanted: Backend) -> GraphBackend | None:
    """Return the installed backend for ONNX files that ``wanted`` allows; None if there is none."""
    if wanted in ("auto", "openvino") and openvino_available():
        return "openvino"
    return "onnxruntime" if wanted in ("auto", "onnxruntime") and onnxruntime_available() else None


@cache
def fast_precision() -> Precision:
    """Return the precision in which OpenVINO is fastest on this processor."""
    from pancascade.inference.backends.openvino_core import core

    return "bf16" if "BF16" in core().get_property("CPU", "OPTIMIZATION_CAPABILITIES") else "f32"


class _OpenVinoGraph(GraphNetwork):
    """A network run by OpenVINO. Its compiled form is kept on disk for the next process."""

    def __init__(self, path: Path, *, precision: Precision, weights: str) -> None:
        super().__init__(path)
        self.runs_on = f"OpenVINO {precision}"
        self._precision, self._weights = precision, weights

    def _made_ready(self, shape: tuple[int, ...]) -> _Answer:
        from pancascade.inference.backends import compiled_cache
        from pancascade.inference.backends.openvino_core import core, cpu_options

        options = cpu_options(self._precision)
        processor = str(core().get_property("CPU", "FULL_DEVICE_NAME"))
        about = [content_digest(self.path), self._weights, shape]
        key = compiled_cache.key_of(about, options, device=processor)
        found = compiled_cache.kept(key, core(), options)
        if found is not None:
            return _of_openvino(found[0])
        try:
            model = core().read_model(self.path)
            _, *sides = model.inputs[0].get_partial_shape()
            self._require_size([side.get_length() if side.is_static else None for side in sides], shape)
            model.reshape([-1, *shape])  # with a fixed image size it is as fast as a file for that size
            compiled = core().compile_model(model, "CPU", options)
        except RuntimeError as error:
            raise _unusable(self.path, "OpenVINO", error) from error
        compiled_cache.keep(key, compiled)
        return _of_openvino(compiled)


def _of_openvino(compiled: "openvino.CompiledModel") -> _Answer:
    request, count = compiled.create_infer_request(), len(compiled.outputs)

    def answer(images: NDArray[np.float32]) -> Maps:
        found = request.infer([images], share_inputs=True)
        return [found[index] for index in range(count)]

    return answer


class _OnnxRuntimeGraph(GraphNetwork):
    runs_on = "ONNX Runtime f32"

    def _made_ready(self, shape: tuple[int, ...]) -> _Answer:
        (declared,) = self._session.get_inputs()
        self._require_size(declared.shape[1:], shape)
        return lambda images: self._session.run(None, {declared.name: images})

    @cached_property
    def _session(self) -> Any:
        from pancascade.inference.backends.onnx_runtime import onnx_runtime

        onnxruntime = onnx_runtime()
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 4
        options.intra_op_num_threads = thread_count()
        try:
            return onnxruntime.InferenceSession(self.path, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # its exceptions have no common base class
            raise _unusable(self.path, "ONNX Runtime", error) from error


def _unusable(path: Path, by: str, error: Exception) -> CheckpointError:
    why = shortened(" ".join(str(error).split()), 70)
    return CheckpointError(f"{path.name}: {by} cannot run it ({why}). Copy the model again, or try --backend torch.")
