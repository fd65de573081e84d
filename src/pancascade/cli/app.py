"""The command line: one file a verb; arguments in, calls out, every error one sentence."""

import logging
import os
import sys

import typer

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
from pancascade.cli.models import models
from pancascade.cli.predict import predict
from pancascade.cli.reproduce import reproduce
from pancascade.cli.segment import segment
from pancascade.cli.serve import serve
from pancascade.cli.threshold import threshold
from pancascade.cli.train import train
from pancascade.cli.view import view
from pancascade.errors import PancascadeError
from pancascade.extras import extra_of
from pancascade.interrupts import ENDING, endings_heeded
from pancascade.memory_shortage import is_memory_shortage
from pancascade.names_only import DICOM_FOLDER, names_only

app = typer.Typer(
    cls=FilledArguments,
    name="pancascade",
    help="Find the pancreas and pancreatic tumours in CT with cascades: locate, then look closely.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
    rich_markup_mode=None,
)
app.command()(segment)
app.command()(batch)
app.command(name="dicom-node")(dicom_node)
app.command()(serve)
app.command()(threshold)
app.command()(view)
app.command()(train)
app.command()(predict)
app.command()(evaluate)
app.command()(compare)
app.command()(attribute)
app.command()(calibrate)
app.command()(join)
app.command()(models)
app.command()(export)
app.command()(reproduce)
app.command()(cohort)
app.command()(compare_dates)
app.add_typer(data)

USER_ERROR, INTERRUPTED, BUG = 2, 130, 70
ENDED = tuple(128 + number for number in ENDING)


class NamesOnly(logging.Formatter):
    """Log lines that name files without their folders."""

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        return names_only(super().format(record), folder=DICOM_FOLDER)


def main() -> None:
    """Entry point of the ``pancascade`` command."""
    handler = logging.StreamHandler()
    handler.setFormatter(NamesOnly())
    logging.basicConfig(level=logging.WARNING, handlers=[handler])
    try:
        with endings_heeded():
            app()
    except SystemExit as ended:
        if ended.code == INTERRUPTED or ended.code in ENDED:  # typer turns Ctrl-C into the first
            _say(
                "Interrupted. Nothing half-written was left; `train`, `predict` and `batch` go on with --resume, "
                "an evaluation and the verbs of data when they are run again."
            )
        raise
    except PancascadeError as error:
        _say(f"Error: {error}")
        sys.exit(USER_ERROR)
    except Exception as error:
        if is_memory_shortage(error):
            _say(
                "Error: there is not enough memory for this. Close other programs, or ask for less: segment "
                "--max-memory, fewer --workers, a smaller canvas or batch in a recipe."
            )
            sys.exit(USER_ERROR)
        if os.environ.get("PANCASCADE_DEBUG"):
            raise
        if (missing := extra_of(error)) is not None:
            _say(f"Error: {missing}")
            sys.exit(USER_ERROR)
        _say(
            f"Error: unexpected {type(error).__name__}: {names_only(str(error))}. This is a fault of pancascade; set "
            "PANCASCADE_DEBUG=1 to see where it happened, and report it."
        )
        sys.exit(BUG)


def _say(message: str) -> None:
    typer.echo(message, err=True)
