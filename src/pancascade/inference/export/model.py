"""Export a model as ONNX or OpenVINO files with a description, for software without pancascade."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

from pancascade.errors import ExportError
from pancascade.files.atomic import written_together
from pancascade.files.output_lock import lock_output
from pancascade.files.replacing import require_replaceable
from pancascade.imaging.preprocessing import Canvas
from pancascade.inference.export.comparison import TOLERANCE, image_on_network_grid, require_same
from pancascade.inference.export.exported_pipeline import (
    Export,
    ExportedNetwork,
    ExportedStep,
    ExportFormat,
    NetworkOutput,
    output_names,
)
from pancascade.inference.export.formats import INPUT, SUFFIX, require_installed, run_file, write_network
from pancascade.inference.models.model import Model, Step, require_cascades
from pancascade.methods.cascades import Cascade
from pancascade.methods.checkpoint import ModelDescription, current_versions, load_checkpoint
from pancascade.methods.networks.build import NETWORKS

DESCRIPTION, CARD, LICENCE = "export.json", "model-card.md", "LICENCE.txt"

Reported = Callable[[ExportedNetwork], None]
"""Called with each network after it was written and its output compared with torch's."""


class Planned(NamedTuple):
    """A network to export, and an image (1, C, H, W) of the size that the cascade gives it.

    Attributes:
        grows: Whether it may get larger images, too: the canvas of a large scan.
    """

    name: str
    file: str
    network: nn.Module
    image: Tensor
    grows: bool = False


Begun = Callable[[str, int, int], None]
"""Called before each network with the name of its file, its number and the number of networks."""


def export_model(
    model: Model, out: Path, *, file_format: ExportFormat, reported: Reported | None = None, begun: Begun | None = None
) -> Export:
    """Write every network of every step of a model, and ``export.json``, which describes how to chain them.

    Every file is run on random and synthetic images and must give torch's output. All files are written, or none.

    Args:
        model: The model.
        out: Folder; made if it is missing. An earlier export of the same model and format is replaced.
        file_format: ``onnx`` or ``openvino``.
        reported: Called after each network.
        begun: Called before each network.

    Raises:
        ExportError: The libraries are missing, the model works on volumes, a network cannot be written, or its
            output differs from torch's.
        CheckpointError: Weights are missing or damaged.
        OutputError: The folder cannot be written.
    """
    require_installed(file_format)
    require_cascades(model)
    loaded = [load_checkpoint(model.weights_of(step)) for step in model.steps]
    plans = [
        plan_networks(cascade, description, prefix=f"{number}_{Path(step.weights).stem}", suffix=SUFFIX[file_format])
        for number, (step, (cascade, description)) in enumerate(zip(model.steps, loaded, strict=True), start=1)
    ]
    files = [planned.file for plan in plans for planned in plan]
    weights = [str(Path(file).with_suffix(".bin")) for file in files] if file_format == "openvino" else []
    names = [*files, *weights, CARD, LICENCE, DESCRIPTION]
    with written_export(out, names, model=model) as draft:
        steps = []
        for step, (cascade, description), plan in zip(model.steps, loaded, plans, strict=True):
            networks = []
            for planned in plan:
                if begun is not None:
                    begun(planned.file, files.index(planned.file) + 1, len(files))
                networks.append(_exported(planned, draft, file_format))
                if reported is not None:
                    reported(networks[-1])
            steps.append(_described(step, cascade, description, networks))
        described = _export(model, file_format, steps)
        (draft / CARD).write_text(model.card_text(), encoding="utf-8")
        (draft / LICENCE).write_text(f"Licence of the weights: {model.licence}\n", encoding="utf-8")
        (draft / DESCRIPTION).write_text(described.model_dump_json(indent=1), encoding="utf-8")
    return described


@contextmanager
def written_export(out: Path, names: Sequence[str], *, model: Model) -> Iterator[Path]:
    """A draft of an export, which replaces a former one as a whole, and nothing else.

    Args:
        out: Folder; made if it is missing.
        names: Of all files; the last one tells an export.
        model: That is exported: neither its weights nor its description is replaced.

    Raises:
        OutputError: The folder cannot be written, is held, or holds other files of these names.
    """
    read = [model.folder / names[-1], *(model.weights_of(step) for step in model.steps)]
    with lock_output(out, what="export"):
        require_replaceable(out, names, seals=names[-1:], read=read)
        with written_together(out, names=names) as draft:
            yield draft


def _export(model: Model, file_format: ExportFormat, steps: Sequence[ExportedStep]) -> Export:
    return Export(
        model=model.name,
        summary=model.summary,
        licence=model.licence,
        card=CARD,
        file_format=file_format,
        versions=current_versions(),
        organ_threshold=model.organ_threshold,
        tumour_threshold=model.tumour_threshold,
        steps=tuple(steps),
    )


def _described(
    step: Step, cascade: Cascade, description: ModelDescription, networks: Sequence[ExportedNetwork]
) -> ExportedStep:
    settings = description.cascade
    return ExportedStep(
        step=step.model_copy(update={"weights": Path(step.weights).name}).model_dump(mode="json", exclude={"digest"}),
        cascade=settings.model_dump(mode="json"),
        canvas=description.canvas.model_dump(mode="json"),
        labels=tuple(label.title for label in cascade.labels),
        chain=cascade.export_chain,
        networks=tuple(networks),
    )


def plan_networks(cascade: Cascade, description: ModelDescription, *, prefix: str, suffix: str) -> list[Planned]:
    """Return the networks that run at inference, each with an image of its input size.

    The cascade is run once to record these sizes.
    """
    if not isinstance(description.canvas, Canvas):
        raise ExportError(
            f"{prefix}: {description.cascade.kind} works on volumes; only cascades on slices can be exported."
        )
    if not cascade.export_chain:
        raise ExportError(
            f"{prefix}: a cascade of the kind {description.cascade.kind} computes something between its networks that "
            "cannot be written. Export another model."
        )
    if cascade.any_size:
        raise ExportError(
            f"{prefix}: {' and '.join(cascade.any_size)} gets crops of any size; "
            "only networks for one size can be exported."
        )
    seen: dict[str, Tensor] = {}
    children = {name: child for name, child in cascade.named_children() if isinstance(child, tuple(NETWORKS.values()))}
    hooks = [
        child.register_forward_pre_hook(lambda _, given, name=name: seen.__setitem__(name, given[0][:1].float()))
        for name, child in children.items()
    ]
    drawn = image_on_network_grid(description.canvas.size)
    image = drawn.expand(-1, description.canvas.channels, -1, -1)
    with torch.no_grad():
        cascade.locate(image)
        cascade.segment(image, cascade.from_mask(image, (drawn > 0.5).float()))
    for hook in hooks:
        hook.remove()
    return [Planned(name, f"{prefix}_{name}{suffix}", children[name], seen[name]) for name in children if name in seen]


def _exported(planned: Planned, draft: Path, file_format: ExportFormat) -> ExportedNetwork:
    """Write one network and compare its output with torch's.

    Raises:
        ExportError: It cannot be written, or its output differs from torch's.
    """
    path = draft / planned.file
    names = output_names(planned.network)
    write_network(planned.network, path, planned.image, file_format=file_format, outputs=[name for name, _ in names])
    images = torch.cat(
        (planned.image, torch.rand(2, *planned.image.shape[1:], generator=torch.Generator().manual_seed(0)))
    )
    with torch.inference_mode():
        wanted = [maps.float().numpy() for maps in tree_leaves(planned.network(images))]
    answers = run_file(path, images.numpy(), file_format=file_format)
    difference = require_same(answers, wanted, file=planned.file)
    outputs = [
        NetworkOutput(name=name, shape=("batch", *maps.shape[1:]), meaning=meaning)
        for (name, meaning), maps in zip(names, wanted, strict=True)
    ]
    return ExportedNetwork(
        file=planned.file,
        network=planned.name,
        input_name=INPUT,
        input_shape=("batch", *planned.image.shape[1:]),
        outputs=tuple(outputs),
        largest_difference=difference,
        tolerance=TOLERANCE,
    )
