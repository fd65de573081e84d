"""The command line: one file for each verb, and one sentence for every error."""

import logging
import os
import sys
from collections.abc import Callable
from contextlib import suppress
from io import TextIOWrapper
from tempfile import gettempdir
from typing import Annotated

import typer

from pancascade import __version__
from pancascade.cli.attribute import attribute
from pancascade.cli.batch import batch
from pancascade.cli.calibrate import calibrate
from pancascade.cli.cohort import cohort
from pancascade.cli.compare import compare
from pancascade.cli.compare_dates import compare_dates
from pancascade.cli.data import data
from pancascade.cli.dicom_node import dicom_node
from pancascade.cli.evaluate import evaluate
from pancascade.cli.export import export
from pancascade.cli.filled_arguments import FilledArguments
from pancascade.cli.join import join
from pancascade.cli.manners import register
from pancascade.cli.models import models
from pancascade.cli.predict import predict
from pancascade.cli.reproduce import reproduce
from pancascade.cli.segment import segment
from pancascade.cli.serve import serve
from pancascade.cli.spoken import NamesOnly
from pancascade.cli.surroundings import fault_of_surroundings, readable
from pancascade.cli.threshold import threshold
from pancascade.cli.train import train
from pancascade.cli.view import view
from pancascade.errors import PancascadeError
from pancascade.execution.interrupts import ENDING, endings_heeded
from pancascade.execution.memory_shortage import is_memory_shortage
from pancascade.extras import extra_of
from pancascade.messages.names_only import names_only

app = typer.Typer(
    cls=FilledArguments,
    name="pancascade",
    help="Find the pancreas and pancreatic tumours in CT with cascades of networks: locate, then segment.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    rich_markup_mode=None,
)

VERBS: tuple[tuple[str, Callable[..., None], str], ...] = (
    ("segment", segment, "pancascade segment SCAN.nii.gz -o RESULT"),
    ("batch", batch, "pancascade batch SCANS -o RESULTS --workers 2 --resume"),
    ("dicom-node", dicom_node, "pancascade dicom-node --send-to PACS@HOST:104 --folder QUEUE --allow MODALITY"),
    ("serve", serve, "pancascade serve --port 8000"),
    ("threshold", threshold, "pancascade threshold RESULT --tumour 0.15"),
    ("view", view, "pancascade view RESULT"),
    ("train", train, "pancascade train qiu2024_demo --data DATA -o RUN"),
    ("predict", predict, "pancascade predict RUN --source DATA --split split.json -o PREDICTIONS"),
    ("evaluate", evaluate, "pancascade evaluate PREDICTIONS REFERENCE -o RESULT --protocol nnunet"),
    ("compare", compare, "pancascade compare REFERENCE ours=PREDICTIONS nnunet=NNUNET -o RESULT"),
    ("attribute", attribute, "pancascade attribute SCANS REFERENCE -o RESULT"),
    ("calibrate", calibrate, "pancascade calibrate qiu2024-small SCANS REFERENCE -o calibrated.json"),
    ("join", join, "pancascade join first=RUN1/best.safetensors second=RUN2/best.safetensors -o joined.safetensors"),
    ("models", models, "pancascade models qiu2024-small"),
    ("export", export, "pancascade export qiu2024-small -o NETWORKS --format onnx"),
    (
        "reproduce",
        reproduce,
        "pancascade reproduce qiu2024 3 --data Task07_Pancreas -o table3 --scale small --rows U --rows M",
    ),
    ("cohort", cohort, "pancascade cohort RESULTS -o cohort.html --csv cohort.csv"),
    ("compare-dates", compare_dates, "pancascade compare-dates MAY NOVEMBER -o follow_up.html"),
)
"""Name, function and example of each verb; those of ``data`` are in `pancascade.cli.data`."""

for _name, _verb, _example in VERBS:
    register(app, _verb, name=_name, example=_example)
app.add_typer(data)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"pancascade {__version__}")
        raise typer.Exit


@app.callback()
def _everywhere(
    version: Annotated[
        bool, typer.Option("--version", help="Show the version and exit.", callback=_print_version, is_eager=True)
    ] = False,
) -> None:
    """Options of the program itself; `--version` has its own callback."""


USER_ERROR, INTERRUPTED, BUG = 2, 130, 70
ENDED = tuple(128 + number for number in ENDING)


def main() -> None:
    """Entry point of the ``pancascade`` command."""
    handler = logging.StreamHandler()
    handler.setFormatter(NamesOnly())
    logging.basicConfig(level=logging.WARNING, handlers=[handler])
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="replace")  # consoles with few characters, as on Windows, must not end a run
    _keep_torch_from_making_a_folder()
    try:
        with endings_heeded():
            app()
    except SystemExit as ended:
        if ended.code == INTERRUPTED or ended.code in ENDED:  # typer turns Ctrl-C into INTERRUPTED
            _say(
                "Interrupted. Nothing half-written was left; `train`, `predict` and `batch` continue with --resume, "
                "an evaluation and the verbs of data when they are run again."
            )
        raise
    except PancascadeError as error:
        _say(readable(f"Error: {error}"))
        sys.exit(USER_ERROR)
    except Exception as error:
        if is_memory_shortage(error):
            _say(
                "Error: there is not enough memory for this. Close other programs, or use less: segment "
                "--max-memory, fewer --workers, a smaller canvas or batch in a recipe."
            )
            sys.exit(USER_ERROR)
        if os.environ.get("PANCASCADE_DEBUG"):
            raise
        if (known := extra_of(error) or fault_of_surroundings(error)) is not None:
            _say(readable(f"Error: {known}"))
            sys.exit(USER_ERROR)
        _say(
            f"Error: unexpected {type(error).__name__}: {names_only(str(error))}. This is a fault of pancascade; set "
            "PANCASCADE_DEBUG=1 to see where it happened, and report it."
        )
        sys.exit(BUG)


def _keep_torch_from_making_a_folder() -> None:
    """Name an existing folder for compiled networks: torch makes one at its import, and nothing is compiled."""
    with suppress(OSError):  # there is none for temporary files
        os.environ.setdefault("TORCHINDUCTOR_CACHE_DIR", gettempdir())


def _say(message: str) -> None:
    typer.echo(message, err=True)
