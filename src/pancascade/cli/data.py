"""``pancascade data``: data sets from download to training; one file a verb."""

import typer

from pancascade.cli.data_check import check
from pancascade.cli.data_describe import describe
from pancascade.cli.data_export_nnunet import export_nnunet
from pancascade.cli.data_fetch import fetch
from pancascade.cli.data_prepare import prepare
from pancascade.cli.data_split import split

data = typer.Typer(
    name="data",
    help="Data sets from download to training: fetch, check, describe, split, prepare, hand to nnU-Net.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
data.command("fetch")(fetch)
data.command("check")(check)
data.command("describe")(describe)
data.command("split")(split)
data.command("prepare")(prepare)
data.command("export-nnunet")(export_nnunet)
