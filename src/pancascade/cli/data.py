"""``pancascade data``: data sets from download to training; one file for each verb."""

from collections.abc import Callable

import typer

from pancascade.cli.data_check import check
from pancascade.cli.data_describe import describe
from pancascade.cli.data_export_nnunet import export_nnunet
from pancascade.cli.data_fetch import fetch
from pancascade.cli.data_prepare import prepare
from pancascade.cli.data_split import split
from pancascade.cli.manners import register

data = typer.Typer(
    name="data",
    help="Data sets from download to training: fetch, check, describe, split, prepare, export for nnU-Net.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

VERBS: tuple[tuple[str, Callable[..., None], str], ...] = (
    ("fetch", fetch, "pancascade data fetch msd-pancreas -o DATA"),
    ("check", check, "pancascade data check Task07_Pancreas -o CHECK"),
    ("describe", describe, "pancascade data describe Task07_Pancreas -o FINGERPRINT --split split.json"),
    ("split", split, "pancascade data split Task07_Pancreas --design qiu2024-msd -o split.json"),
    ("prepare", prepare, "pancascade data prepare Task07_Pancreas -o STORE"),
    (
        "export-nnunet",
        export_nnunet,
        "pancascade data export-nnunet Task07_Pancreas --split split.json -o nnUNet_raw --id 701",
    ),
)
"""Name, function and example of each verb."""

for _name, _verb, _example in VERBS:
    register(data, _verb, name=_name, example=_example)
