"""Run a network in an ONNX file with ONNX Runtime."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pancascade.errors import UnknownModelError
from pancascade.files.documents import shortened
from pancascade.imaging.volume import Volume
from pancascade.inference.backends.onnx_runtime import onnx_runtime
from pancascade.inference.backends.threads import thread_count
from pancascade.inference.external.network import network_faults_reported, require_extra
from pancascade.inference.external.network_description import read_description
from pancascade.inference.external.tiles import run_in_tiles
from pancascade.labels import Label
from pancascade.messages.notices import Notice


class OnnxNetwork:
    """See `pancascade.inference.external.network.ExternalNetwork`.

    The file needs a description of the same name beside it.
    """

    notices: tuple[Notice, ...] = ()

    def __init__(self, path: Path, *, device: str) -> None:
        require_extra("onnxruntime", extra="export", name=path.name, what="an ONNX file")
        self._name = path.name
        self._description = read_description(path)
        self.labels: tuple[Label, ...] = (
            (Label.PANCREAS, Label.TUMOUR) if self._description.labels.tumour else (Label.PANCREAS,)
        )
        with network_faults_reported(path.name, "cannot be loaded as ONNX"):
            self._session = _session(path, device)
        self.runs_on = f"ONNX Runtime {self._session.get_providers()[0].removesuffix('ExecutionProvider')}"
        self._input = self._checked_input()

    def probabilities(self, scan: Volume) -> NDArray[np.float32]:
        """See `ExternalNetwork`."""
        with network_faults_reported(self._name, "fails on this scan"):
            return run_in_tiles(scan, self._predict, self._description, name=self._name)

    def _predict(self, image: NDArray[np.float32]) -> NDArray[np.float32]:
        answer: NDArray[np.float32] = self._session.run(None, {self._input: image})[0]
        return answer

    def _checked_input(self) -> str:
        """Check the single input, and return its name."""
        inputs = self._session.get_inputs()
        shapes = [list(one.shape) for one in inputs]
        axes = 2 + self._description.dimensions
        sides = self._description.patch[3 - self._description.dimensions :]
        if len(shapes) != 1 or len(shapes[0]) != axes or (isinstance(shapes[0][1], int) and shapes[0][1] != 1):
            reported = shortened(", ".join("x".join(map(str, one)) for one in shapes), 40) or "no input"
            raise UnknownModelError(
                f"{shortened(self._name, 60)}: takes {reported}, but its description needs {axes} axes with 1 channel "
                "(CT). Correct dimensions, or give a network for CT alone."
            )
        if any(isinstance(side, int) and side != ours for side, ours in zip(shapes[0][2:], sides, strict=True)):
            raise UnknownModelError(
                f"{self._name}: takes patches of {'x'.join(map(str, shapes[0][2:]))}, but its description says "
                f"{'x'.join(map(str, sides))}. Correct the patch."
            )
        return str(inputs[0].name)


def _session(path: Path, device: str) -> Any:
    onnxruntime = onnx_runtime()
    wanted = "CUDAExecutionProvider" if device.startswith("cuda") else "CPUExecutionProvider"
    if wanted not in onnxruntime.get_available_providers():
        raise UnknownModelError(f"{path.name}: this ONNX Runtime cannot use {device}. Try --device cpu.")
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = thread_count()
    try:
        return onnxruntime.InferenceSession(path, options, providers=[wanted])
    except Exception as error:  # no common base class; weights above 2 GB are always in a separate file
        if "external " in str(error).lower():
            raise UnknownModelError(
                f"{path.name}: its weights are in another file beside it, which is missing or damaged. Copy both."
            ) from error
        raise
