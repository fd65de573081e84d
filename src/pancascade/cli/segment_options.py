"""Options shared by the segmenting verbs."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

DEFAULT_MODEL = "qiu2024-small"


class MaskFormat(StrEnum):
    """Format of the mask, or of the measurements."""

    NIFTI = "nifti"
    DICOM_SEG = "dicom-seg"
    RTSTRUCT = "rtstruct"
    DICOM_SR = "dicom-sr"


class Backend(StrEnum):
    """Backend that runs the networks."""

    AUTO = "auto"
    TORCH = "torch"
    OPENVINO = "openvino"
    ONNXRUNTIME = "onnxruntime"


Model = Annotated[
    list[str] | None,
    typer.Option(
        "--model",
        help=f"Name from `pancascade models`, a checkpoint, or a network of another program (nnU-Net folder, "
        f"MONAI bundle, ONNX, TorchScript); several are averaged. [{DEFAULT_MODEL}]",
    ),
]
Device = Annotated[str, typer.Option("--device", help="cpu or cuda.")]
Formats = Annotated[
    list[MaskFormat] | None,
    typer.Option(
        "--format",
        help="Format of the mask, or of the measurements (dicom-sr); may be given several times. All but nifti need a "
        "DICOM scan. [nifti]",
    ),
]
SaveProbabilities = Annotated[
    bool, typer.Option("--save-probabilities", help="Also write a probability map of each label, for `threshold`.")
]
NoReport = Annotated[
    bool, typer.Option("--no-report", help="Write no overview.png and no report.html, only mask and numbers; faster.")
]
SplitMasks = Annotated[
    bool,
    typer.Option("--split-masks", help="Also write a mask of each structure: structures/pancreas.nii.gz and so on."),
]
Statistics = Annotated[
    bool, typer.Option("--statistics", help="Also write statistics.csv: voxels, mL and HU of each structure.")
]
SeriesChoice = Annotated[
    str | None,
    typer.Option("--series", help="DICOM series to use: its UID, number, or a part of its description."),
]
Tta = Annotated[bool, typer.Option("--tta", help="Average three pixel sizes; takes three times as long.")]
BackendChoice = Annotated[Backend, typer.Option("--backend", help="Backend that runs the networks.")]
MaxMemory = Annotated[
    float | None,
    typer.Option("--max-memory", help="Most memory to use, in GB; the scan's voxels then stay on disk."),
]
KeepDoubtful = Annotated[bool, typer.Option("--keep-doubtful", help="Also mark what is no plausible pancreas.")]
PancreasModel = Annotated[
    str | None,
    typer.Option(
        "--pancreas-model",
        help="A model, or a network of another program, that finds the pancreas in place of --model's first step.",
    ),
]
Pancreas = Annotated[
    Path | None,
    typer.Option(
        "--pancreas",
        help="Given mask, label map or DICOM-SEG of the pancreas with its tumour; only tumours are then "
        "searched for. It must be on the scan's grid, or cover the same space.",
    ),
]
PancreasLabel = Annotated[
    list[str] | None,
    typer.Option(
        "--pancreas-label",
        help="Value or name of the pancreas, or of a part of it, in that label map, tumour included; may be given "
        "several times.",
    ),
]
KeepIdentifiers = Annotated[
    bool, typer.Option("--keep-identifiers", help="Name patient and study in report and result.json.")
]


def format_names(chosen: list[MaskFormat] | None, *, store: bool = False) -> list[str]:
    """Return the chosen formats, each once; by default NIfTI, or all of DICOM if results are sent to a PACS."""
    of_dicom = [MaskFormat.DICOM_SEG, MaskFormat.RTSTRUCT, MaskFormat.DICOM_SR]
    default = of_dicom if store else [MaskFormat.NIFTI]
    return list(dict.fromkeys(one.value for one in chosen or default))
