"""Write a model that `segment` runs without torch: its checkpoints, and ONNX files that use the tensors in them."""

import shutil
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch.utils._pytree import tree_leaves

from pancascade.errors import ExportError
from pancascade.files.digests import content_digest
from pancascade.files.documents import parse_json
from pancascade.imaging.preprocessing import Canvas
from pancascade.inference.export.comparison import require_same
from pancascade.inference.export.exported_pipeline import output_names
from pancascade.inference.export.formats import require_installed, write_network
from pancascade.inference.export.model import CARD, LICENCE, Begun, Planned, plan_networks, written_export
from pancascade.inference.graphs.graph_cascades import CASCADES
from pancascade.inference.graphs.graph_files import GraphFile, GraphFiles, graphs_of
from pancascade.inference.graphs.graph_network import graph_backend, graph_network
from pancascade.inference.models.known_models import EXPORTED
from pancascade.inference.models.model import Model, require_cascades
from pancascade.methods.checkpoint import load_checkpoint, load_tensors, save_tensors
from pancascade.methods.weights_file import DIGEST


def export_runnable(model: Model, out: Path, *, begun: Begun | None = None) -> None:
    """Write a model so that ``segment --model OUT`` needs no torch.

    Every network is run by the backend that will run it, on random and synthetic images, and must give torch's output.
    All files are written, or none.

    Args:
        model: The model.
        out: Folder; made if it is missing. An earlier export of the same model is replaced.
        begun: Called before each network.

    Raises:
        ExportError: The libraries are missing, a cascade needs torch between its networks, or a network's output
            differs from torch's.
        CheckpointError: Weights are missing or damaged.
        OutputError: The folder cannot be written.
    """
    require_installed("onnx")
    require_cascades(model)
    checkpoints = [model.weights_of(step) for step in model.steps]
    stems = [path.stem for path in checkpoints]
    if len(set(stems)) != len(stems):
        raise ExportError(f"{model.name}: two of its checkpoints have one name. Rename one of them.")
    plans = [_plan(path) for path in checkpoints]
    files = [planned.file for plan in plans for planned in plan]
    beside = [name for stem in stems for name in (f"{stem}.safetensors", graphs_of(Path(stem)).name)]
    with written_export(out, [*beside, *files, CARD, LICENCE, EXPORTED], model=model) as draft:
        for path, plan in zip(checkpoints, plans, strict=True):
            copy = draft / f"{path.stem}.safetensors"
            _copy_with_digest(path, copy)
            for planned in plan:
                if begun is not None:
                    begun(planned.file, files.index(planned.file) + 1, len(files))
                _write(planned, copy)
            _describe(copy, plan)
        (draft / CARD).write_text(model.card_text(), encoding="utf-8")
        (draft / LICENCE).write_text(f"Licence of the weights: {model.licence}\n", encoding="utf-8")
        (draft / EXPORTED).write_text(_description(model, stems, folder=draft), encoding="utf-8")


def _plan(checkpoint: Path) -> list[Planned]:
    """Return the networks of a checkpoint that can run without torch.

    Raises:
        ExportError: The checkpoint needs torch.
    """
    cascade, description = load_checkpoint(checkpoint)
    settings = description.cascade
    if settings.kind not in CASCADES or getattr(settings, "recurrence_rounds", None):
        raise ExportError(
            f"{checkpoint.name}: a cascade of the kind {settings.kind} with these settings needs torch between its "
            "networks. Use --format onnx for the networks alone."
        )
    plan = plan_networks(cascade, description, prefix=checkpoint.stem, suffix=".onnx")
    # Stage 2 gets crops of one size on every canvas.
    grows = isinstance(description.canvas, Canvas) and description.canvas.larger_slices == "grow"
    return [
        planned._replace(file=f"{checkpoint.stem}.{planned.name}.onnx", grows=grows and planned.name != "second")
        for planned in plan
    ]


def _copy_with_digest(path: Path, copy: Path) -> None:
    """Copy a checkpoint; one of an older version gets the digest that it lacks."""
    from safetensors import safe_open

    with safe_open(path, framework="numpy") as file:
        has_digest = DIGEST in (file.metadata() or {})
    if has_digest:
        shutil.copyfile(path, copy)
    else:
        tensors, header = load_tensors(path)
        save_tensors(copy, tensors, header=header)


def _write(planned: Planned, checkpoint: Path) -> None:
    """Write one network as an ONNX file that uses the weights in the checkpoint beside it.

    Raises:
        ExportError: It cannot be written, or its output differs from torch's.
    """
    path = checkpoint.parent / planned.file
    names = [name for name, _ in output_names(planned.network)]
    write_network(
        planned.network, path, planned.image, file_format="onnx", outputs=names, folding=False, any_size=planned.grows
    )
    _point_at(path, checkpoint, prefix=f"{planned.name}.", answer=names[-1])
    backend = graph_backend("auto")
    if backend is None:
        raise ExportError('Neither OpenVINO nor ONNX Runtime is installed. Run pip install "pancascade[export]".')
    written = graph_network(path, backend=backend, weights=content_digest(checkpoint), exact=True)
    _, channels, height, width = planned.image.shape
    random = torch.Generator().manual_seed(0)
    images = [torch.cat((planned.image, torch.rand(2, channels, height, width, generator=random)))]
    if planned.grows:
        images.append(torch.rand(1, channels, height + 32, width + 16, generator=random))
    for shown in images:
        with torch.inference_mode():
            wanted = tree_leaves(planned.network(shown))[-1].float().numpy()
        require_same(written(shown.numpy()), [wanted], file=path.name)


def _point_at(path: Path, checkpoint: Path, *, prefix: str, answer: str) -> None:
    """Replace an ONNX file's weights by references into the checkpoint, and keep one of its outputs."""
    import onnx

    model = onnx.load(path)
    graph = model.graph
    stored = _places(checkpoint)
    kept, casts = [], []
    for tensor in graph.initializer:
        place = stored.get(prefix + tensor.name)
        if place is None or place["dtype"] not in ("F16", "F32"):
            kept.append(tensor)
            continue
        half = place["dtype"] == "F16"
        name = f"{tensor.name}.half" if half else tensor.name
        kept.append(_outside(name, place, location=checkpoint.name, half=half))
        if half:
            casts.append(onnx.helper.make_node("Cast", [name], [tensor.name], to=onnx.TensorProto.FLOAT))
    nodes = [*casts, *graph.node]
    for field, values in (("initializer", kept), ("node", nodes), ("value_info", [])):
        graph.ClearField(field)
        getattr(graph, field).extend(values)
    for output in [output for output in graph.output if output.name != answer]:
        graph.output.remove(output)
    path.write_bytes(model.SerializeToString())


def _outside(name: str, place: dict[str, Any], *, location: str, half: bool) -> Any:
    """Return a tensor whose data are in another file."""
    import onnx

    kind = onnx.TensorProto.FLOAT16 if half else onnx.TensorProto.FLOAT
    tensor = onnx.TensorProto(name=name, data_type=kind, dims=place["shape"])
    tensor.data_location = onnx.TensorProto.EXTERNAL
    first, last = place["data_offsets"]
    for key, value in (("location", location), ("offset", first), ("length", last - first)):
        tensor.external_data.add(key=key, value=str(value))
    return tensor


def _places(checkpoint: Path) -> dict[str, dict[str, Any]]:
    """Return type, shape and byte range of each tensor of a safetensors file."""
    with checkpoint.open("rb") as file:
        (length,) = struct.unpack("<Q", file.read(8))
        entries = parse_json(file.read(length))
    begin = 8 + length
    return {
        name: {**entry, "data_offsets": [begin + offset for offset in entry["data_offsets"]]}
        for name, entry in entries.items()
        if name != "__metadata__"
    }


def _describe(checkpoint: Path, plan: Sequence[Planned]) -> None:
    from safetensors import safe_open

    with safe_open(checkpoint, framework="numpy") as file:
        digest = file.metadata()[DIGEST]
    networks = {
        planned.name: GraphFile(file=planned.file, digest=content_digest(checkpoint.parent / planned.file))
        for planned in plan
    }
    described = GraphFiles(weights=digest, networks=networks)
    graphs_of(checkpoint).write_text(described.model_dump_json(indent=1), encoding="utf-8")


def _description(model: Model, stems: Sequence[str], *, folder: Path) -> str:
    steps = [
        # The digest prevents that shipped weights of the same name replace a missing file.
        step.model_copy(update={"weights": (name := f"{stem}.safetensors"), "digest": content_digest(folder / name)})
        for step, stem in zip(model.steps, stems, strict=True)
    ]
    described = model.model_copy(update={"steps": tuple(steps), "card": CARD})
    return described.model_dump_json(indent=1, exclude={"folder"}, exclude_none=True)
