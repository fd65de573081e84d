"""Write a network as ONNX or OpenVINO IR, and run the written file."""

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from pancascade.errors import ExportError, OutputError
from pancascade.inference.backends.fused_networks import folded
from pancascade.inference.backends.onnx_runtime import onnx_runtime
from pancascade.inference.export.exported_pipeline import ExportFormat
from pancascade.messages.quiet_log import quiet_log

INPUT = "images"

SUFFIX: dict[ExportFormat, str] = {"onnx": ".onnx", "openvino": ".xml"}

NEEDED: dict[ExportFormat, tuple[str, ...]] = {
    "onnx": ("onnx", "onnxscript", "onnxruntime"),
    "openvino": ("openvino",),
}


def require_installed(file_format: ExportFormat) -> None:
    """Refuse a format whose libraries are not installed.

    Raises:
        ExportError: A library is missing; the message says what to install.
    """
    missing = [name for name in NEEDED[file_format] if find_spec(name) is None]
    if missing:
        raise ExportError(
            f'--format {file_format} needs {" and ".join(missing)}. Run pip install "pancascade[export]".'
        )


def write_network(
    network: nn.Module,
    path: Path,
    image: Tensor,
    *,
    file_format: ExportFormat,
    outputs: Sequence[str],
    folding: bool = True,
    any_size: bool = False,
) -> None:
    """Write a network for images of one size and batches of any size.

    Args:
        network: In evaluation mode, float32, on the CPU.
        path: File to write; OpenVINO writes a .bin beside it.
        image: (1, C, *S), an image of that size.
        file_format: ``onnx`` or ``openvino``.
        outputs: Names of the maps, in order.
        folding: Whether normalisations may be folded into the weights of an ONNX file; without, all weights are the
            network's own, by their names.
        any_size: Whether an ONNX file accepts images of any size in multiples of 16, at least 32.

    Raises:
        ExportError: The network uses an operation that the format does not have.
        OutputError: The disk is full.
    """
    try:
        if file_format == "onnx":
            _write_onnx(network, path, image, outputs, folding=folding, any_size=any_size)
        else:
            _write_openvino(network, path, image, outputs)
    except (LookupError, RuntimeError) as error:
        reason = " ".join(str(error).split())[:200]
        raise ExportError(f"{path.name}: this network cannot be written as {file_format} ({reason}).") from error


def _write_onnx(
    network: nn.Module, path: Path, image: Tensor, outputs: Sequence[str], *, folding: bool, any_size: bool
) -> None:
    # Torch's exporter takes some 5 ms for each operation, however small the weights: fewer operations are faster.
    network = folded(network) if folding else network
    # From a batch of one torch would fix the batch size at 1.
    pair = torch.cat((image, image))
    free = {0: torch.export.Dim("batch")}
    if any_size:
        free |= {axis: 16 * torch.export.Dim(name, min=2, max=256) for axis, name in ((2, "height"), (3, "width"))}
    with _quiet():
        torch.onnx.export(
            network,
            (pair,),
            path,
            input_names=[INPUT],
            output_names=list(outputs),
            dynamic_shapes=(free,),
            dynamo=True,
            external_data=False,
            verbose=False,
            optimize=folding,
        )
    _forget_origins(path)


def _forget_origins(path: Path) -> None:
    """Remove the source lines that torch notes for every node: they hold whole paths of this machine."""
    import onnx

    model = onnx.load(path)
    graph = model.graph
    parts = [model, graph, *graph.node, *graph.input, *graph.output, *graph.value_info, *graph.initializer]
    parts += [part for function in model.functions for part in (function, *function.node, *function.value_info)]
    for part in parts:
        part.ClearField("metadata_props")
        part.ClearField("doc_string")
    onnx.save(model, path)


def _write_openvino(network: nn.Module, path: Path, image: Tensor, outputs: Sequence[str]) -> None:
    import openvino

    from pancascade.inference.backends.openvino_graph import record

    graph, _, _ = record(network, image)
    for output, name in zip(graph.outputs, outputs, strict=True):
        output.set_names({name})
    graph.inputs[0].set_names({INPUT})
    try:
        openvino.save_model(graph, path, compress_to_fp16=False)
    except RuntimeError as error:
        if "iostream" not in str(error):
            raise
        raise OutputError(f"{path.name}: cannot be written. Free some space or choose another folder.") from error


def run_file(path: Path, images: NDArray[np.float32], *, file_format: ExportFormat) -> list[NDArray[np.float32]]:
    """Run a written network on images (B, C, *S) and return its maps in float32."""
    if file_format == "onnx":
        session = onnx_runtime().InferenceSession(path, providers=["CPUExecutionProvider"])
        return session.run(None, {INPUT: images})
    import openvino

    model = openvino.Core().compile_model(path, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    found = model([images])
    return [found[index] for index in range(len(model.outputs))]


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence the exporter's messages about optional libraries and its own deprecations."""
    with quiet_log("torch.onnx"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
