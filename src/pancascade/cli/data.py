"""``pancascade data``: data sets from download to training; one file a verb."""

import typer

data = typer.Typer(
    name="data",
    help="Data sets from download to training: fetch, check, split, prepare, describe.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
