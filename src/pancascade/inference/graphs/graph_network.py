"""A network that is an ONNX file, run by OpenVINO or ONNX Runtime."""

import hashlib
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from pancascade.errors import CheckpointError
from pancascade.files.documents import shortened
from pancascade.inference.backends.backend import Precision, openvino_available
from pancascade.inference.backends.threads import thread_count

if TYPE_CHECKING:
    import openvino

INPUT = "images"
"""Name of a network's one input."""

Maps = list[NDArray[np.float32]]
"""All that a network answers, in its order; what a cascade hands on is the last."""


class GraphNetwork(Protocol):
    """A network ready to run.

    Attributes:
        runs_on: What runs it, in words.
    """

    runs_on: str

    def __call__(self, images: NDArray[np.float32]) -> Maps:
        """What it answers to images (B, C, h, w)."""
        ...


def graph_network(path: Path, *, backend: str, weights: str, exact: bool = False) -> GraphNetwork:
    """A network of an ONNX file.

    Args:
        path: The file, with the tensors that it points at beside it.
        backend: ``openvino`` or ``onnxruntime``.
        weights: Digest of these tensors.
        exact: Whether it computes in float32 whatever the processor is faster with.

    Raises:
        CheckpointError: The file cannot be used.
    """
    if backend == "openvino":
        return _OpenVinoGraph(path, precision="f32" if exact else fast_precision(), weights=weights)
    return _OnnxRuntimeGraph(path)


def graph_backend(wanted: str) -> str | None:
    """What runs ONNX files here, if it may be ``wanted``; None where nothing does.

    Args:
        wanted: One of `pancascade.inference.backends.backend.Backend`.
    """
    from pancascade.inference.backends.backend import onnxruntime_available

    if wanted in ("auto", "openvino") and openvino_available():
        return "openvino"
    return "onnxruntime" if wanted in ("auto", "onnxruntime") and onnxruntime_available() else None


@cache
def fast_precision() -> Precision:
    """What OpenVINO computes in fastest on this processor."""
    from pancascade.inference.backends.openvino_core import core

    return "bf16" if "BF16" in core().get_property("CPU", "OPTIMIZATION_CAPABILITIES") else "f32"


class _OpenVinoGraph:
    """Compiled when it is first needed, and kept on disk for the next process."""

    def __init__(self, path: Path, *, precision: Precision, weights: str) -> None:
        self.runs_on = f"OpenVINO {precision}"
        self._path, self._precision, self._weights = path, precision, weights
        self._answer: Callable[[NDArray[np.float32]], Maps] | None = None

    def __call__(self, images: NDArray[np.float32]) -> Maps:
        if self._answer is None:
            self._answer = self._ready()
        return self._answer(images)

    def _ready(self) -> Callable[[NDArray[np.float32]], Maps]:
        from pancascade.inference.backends import compiled_cache
        from pancascade.inference.backends.openvino_core import core, cpu_options

        options = cpu_options(self._precision)
        processor = str(core().get_property("CPU", "FULL_DEVICE_NAME"))
        graph = hashlib.blake2b(self._path.read_bytes(), digest_size=16).hexdigest()
        key = compiled_cache.key_of([graph, self._weights], options, device=processor)
        found = compiled_cache.kept(key, core(), options)
        if found is not None:
            return _answering(found[0])
        try:
            compiled = core().compile_model(core().read_model(self._path), "CPU", options)
        except RuntimeError as error:
            raise _unusable(self._path, "OpenVINO", error) from error
        compiled_cache.keep(key, compiled)
        return _answering(compiled)


def _answering(compiled: "openvino.CompiledModel") -> Callable[[NDArray[np.float32]], Maps]:
    request, count = compiled.create_infer_request(), len(compiled.outputs)

    def answer(images: NDArray[np.float32]) -> Maps:
        found = request.infer([np.ascontiguousarray(images, np.float32)], share_inputs=True)
        return [found[index] for index in range(count)]

    return answer


class _OnnxRuntimeGraph:
    runs_on = "ONNX Runtime f32"

    def __init__(self, path: Path) -> None:
        self._path = path
        self._session: Any = None

    def __call__(self, images: NDArray[np.float32]) -> Maps:
        if self._session is None:
            self._session = self._ready()
        answer: Maps = self._session.run(None, {INPUT: np.ascontiguousarray(images, np.float32)})
        return answer

    def _ready(self) -> Any:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.log_severity_level = 4
        options.intra_op_num_threads = thread_count()
        try:
            return onnxruntime.InferenceSession(self._path, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # its exceptions have no common class of their own
            raise _unusable(self._path, "ONNX Runtime", error) from error


def _unusable(path: Path, by: str, error: Exception) -> CheckpointError:
    why = shortened(" ".join(str(error).split()), 70)
    return CheckpointError(f"{path.name}: {by} cannot run it ({why}). Copy the model again, or try --backend torch.")
