"""``pancascade join``: make one checkpoint from stages that were trained in separate runs."""

from pathlib import Path
from typing import Annotated

import typer

from pancascade.errors import DataError


def join(
    stages: Annotated[list[str], typer.Argument(help="STAGE=CHECKPOINT, such as first=RUN1/best.safetensors.")],
    out: Annotated[Path, typer.Option(help="Checkpoint to write (.safetensors).")],
) -> None:
    """Join stages that were trained in separate runs into one checkpoint."""
    parts: dict[str, Path] = {}
    for text in stages:
        name, equals, path = text.partition("=")
        if not (name and equals and path):
            raise DataError(f"{text}: write it as STAGE=CHECKPOINT, such as first=RUN1/best.safetensors.")
        if name in parts:
            raise DataError(f"{text}: stage {name} is given twice.")
        parts[name] = Path(path)
    if out.suffix != ".safetensors":
        raise DataError(f"{out}: a checkpoint's name ends in .safetensors. Choose another --out.")
    if out.exists():
        raise DataError(f"{out}: exists already. Choose another --out.")
    from pancascade.methods.joining import join_checkpoints

    join_checkpoints(parts, out)
    typer.echo(f"Checkpoint: {out}")
