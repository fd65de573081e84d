"""A network that is an ONNX file, run by OpenVINO or ONNX Runtime."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pancascade.errors import CheckpointError
from pancascade.files.digests import content_digest
from pancascade.files.documents import shortened
from pancascade.inference.backends.backend import Backend, Precision, onnxruntime_available, openvino_available
from pancascade.inference.backends.threads import thread_count

if TYPE_CHECKING:
    import openvino

GraphBackend = Literal["openvino", "onnxruntime"]
"""What runs ONNX files."""

Maps = list[NDArray[np.float32]]
"""All that a network answers, in its order; what a cascade hands on is the last."""


class GraphNetwork(ABC):
    """A network in an ONNX file: made ready when it is first asked, for images of one size in batches of any.

    Attributes:
        runs_on: What runs it, in words.
    """

    runs_on: str

    def __init__(self, path: Path) -> None:
        self.path = path
        self._ready: _Ready | None = None

    def __call__(self, images: NDArray[np.float32]) -> Maps:
        """What it answers to images (B, C, h, w).

        Raises:
            CheckpointError: It cannot be run, or was written for images of another size.
        """
        if self._ready is None:
            self._ready = self._made_ready()
        if images.shape[1:] != self._ready.shape:
            wanted, given = ("x".join(map(str, shape[1:])) for shape in (self._ready.shape, images.shape[1:]))
            raise CheckpointError(
                f"{self.path.name}: written for images of {wanted} pixels, and this scan needs {given}. Run it where "
                "torch is installed, with --backend torch."
            )
        return self._ready.answer(np.ascontiguousarray(images, np.float32))

    @abstractmethod
    def _made_ready(self) -> "_Ready": ...


class _Ready(NamedTuple):
    """The shape (C, h, w) of the images, and what answers to a batch of them."""

    shape: tuple[int, ...]
    answer: Callable[[NDArray[np.float32]], Maps]


def graph_network(path: Path, *, backend: GraphBackend, weights: str, exact: bool = False) -> GraphNetwork:
    """A network of an ONNX file.

    Args:
        path: The file, with the tensors that it points at beside it.
        backend: What runs it.
        weights: Digest of these tensors.
        exact: Whether it computes in float32 whatever the processor is faster with.
    """
    if backend == "openvino":
        return _OpenVinoGraph(path, precision="f32" if exact else fast_precision(), weights=weights)
    return _OnnxRuntimeGraph(path)


def graph_backend(wanted: Backend) -> GraphBackend | None:
    """What runs ONNX files here, if it may be ``wanted``; None where nothing does."""
    if wanted in ("auto", "openvino") and openvino_available():
        return "openvino"
    return "onnxruntime" if wanted in ("auto", "onnxruntime") and onnxruntime_available() else None


@cache
def fast_precision() -> Precision:
    """What OpenVINO computes in fastest on this processor."""
    from pancascade.inference.backends.openvino_core import core

    return "bf16" if "BF16" in core().get_property("CPU", "OPTIMIZATION_CAPABILITIES") else "f32"


class _OpenVinoGraph(GraphNetwork):
    """Its compiled form is kept on disk for the next process."""

    def __init__(self, path: Path, *, precision: Precision, weights: str) -> None:
        super().__init__(path)
        self.runs_on = f"OpenVINO {precision}"
        self._precision, self._weights = precision, weights

    def _made_ready(self) -> _Ready:
        from pancascade.inference.backends import compiled_cache
        from pancascade.inference.backends.openvino_core import core, cpu_options

        options = cpu_options(self._precision)
        processor = str(core().get_property("CPU", "FULL_DEVICE_NAME"))
        key = compiled_cache.key_of([content_digest(self.path), self._weights], options, device=processor)
        found = compiled_cache.kept(key, core(), options)
        if found is not None:
            return _of_openvino(found[0])
        try:
            compiled = core().compile_model(core().read_model(self.path), "CPU", options)
        except RuntimeError as error:
            raise _unusable(self.path, "OpenVINO", error) from error
        compiled_cache.keep(key, compiled)
        return _of_openvino(compiled)


def _of_openvino(compiled: "openvino.CompiledModel") -> _Ready:
    request, count = compiled.create_infer_request(), len(compiled.outputs)

    def answer(images: NDArray[np.float32]) -> Maps:
        found = request.infer([images], share_inputs=True)
        return [found[index] for index in range(count)]

    _, *sides = compiled.inputs[0].get_partial_shape()
    return _Ready(tuple(side.get_length() for side in sides), answer)


class _OnnxRuntimeGraph(GraphNetwork):
    runs_on = "ONNX Runtime f32"

    def _made_ready(self) -> _Ready:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.log_severity_level = 4
        options.intra_op_num_threads = thread_count()
        try:
            session = onnxruntime.InferenceSession(self.path, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # its exceptions have no common class of their own
            raise _unusable(self.path, "ONNX Runtime", error) from error
        (told,) = session.get_inputs()
        return _Ready(tuple(told.shape[1:]), lambda images: session.run(None, {told.name: images}))


def _unusable(path: Path, by: str, error: Exception) -> CheckpointError:
    why = shortened(" ".join(str(error).split()), 70)
    return CheckpointError(f"{path.name}: {by} cannot run it ({why}). Copy the model again, or try --backend torch.")
