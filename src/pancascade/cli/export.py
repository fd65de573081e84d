"""``pancascade export``: write a model as ONNX or OpenVINO files for other software."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from pancascade.cli.choices import EXPORT_FORMATS
from pancascade.errors import ExportError

if TYPE_CHECKING:
    from pancascade.inference.export.exported_pipeline import ExportedNetwork, ExportFormat


def export(
    model: Annotated[str, typer.Argument(help="Name from `pancascade models`, or a checkpoint.")],
    out: Annotated[Path, typer.Option(help="Folder for the files; made if it is missing.")],
    file_format: Annotated[
        str, typer.Option("--format", help="onnx, openvino, or pancascade: for `segment` without torch.")
    ] = "onnx",
) -> None:
    """Write every network of a model as ONNX or OpenVINO, with a description of how to chain them.

    With --format pancascade: write the model so that `segment --model OUT` runs it without torch.

    Each file is run and compared with torch; nothing is written if an output differs.
    """
    import rich.console

    from pancascade.inference.export.model import DESCRIPTION, export_model
    from pancascade.inference.export.runnable import export_runnable
    from pancascade.inference.models.known_models import find_model

    console = rich.console.Console(markup=False, highlight=False, soft_wrap=True)

    def reported(network: "ExportedNetwork") -> None:
        size = " × ".join(map(str, network.input_shape[1:]))
        console.print(f"{network.file:32} {size:14} largest difference from torch {network.largest_difference:.1e}")

    if file_format not in EXPORT_FORMATS:
        raise ExportError(f"--format {file_format}: known are {', '.join(EXPORT_FORMATS)}.")
    chosen = find_model(model)
    with console.status("Loading the model.") as status:

        def begin(file: str, number: int, count: int) -> None:
            status.update(f"Network {number} of {count}: writing {file} and comparing it with torch; up to a minute.")

        if file_format == "pancascade":
            export_runnable(chosen, out, begun=begin)
        else:
            export_model(chosen, out, file_format=cast("ExportFormat", file_format), reported=reported, begun=begin)
    if file_format == "pancascade":
        console.print(f"Use without torch: pancascade segment SCAN --model {out}")
    else:
        console.print(f"How to chain the networks: {out / DESCRIPTION}")
    console.print(f"Licence of the weights: {chosen.licence}. Research use only. Not for clinical use.", style="dim")
