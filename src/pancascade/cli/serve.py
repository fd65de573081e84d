"""``pancascade serve``: segment scans sent by browser or REST."""

import os
from contextlib import ExitStack
from importlib.resources import files
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated

import typer

from pancascade.cli import segment_options as options
from pancascade.errors import DataError
from pancascade.execution.interrupts import ENDING

if TYPE_CHECKING:
    from pancascade.services.server.server_settings import ServerSettings

NEW = "new"


def serve(
    host: Annotated[
        str, typer.Option(help="Address to listen on. All but the loopback address of this computer need --token.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on; 0 takes a free one.", min=0, max=65535)] = 8000,
    token: Annotated[
        str | None,
        typer.Option(
            envvar="PANCASCADE_TOKEN",
            help="Secret that every request must carry; `new` makes one and prints it. Other users of this computer "
            "can read a command's options: the environment variable is safer.",
        ),
    ] = None,
    folder: Annotated[
        Path | None,
        typer.Option(help="Folder of the jobs. [a temporary folder, removed when the server ends]"),
    ] = None,
    max_upload: Annotated[float, typer.Option(help="Largest upload, in MB.")] = 1000,
    workers: Annotated[
        int, typer.Option(help="Number of scans at the same time, each with its own model in memory.", min=1)
    ] = 1,
    queue: Annotated[int, typer.Option(help="Largest number of waiting scans.", min=1)] = 32,
    keep: Annotated[
        float, typer.Option(help="Hours for which a finished job is kept; 0 keeps it until it is removed.", min=0)
    ] = 24,
    corrections: Annotated[
        Path | None,
        typer.Option(
            help="Folder to which corrected results are copied with their scans, and kept. [none: "
            "corrections are removed with their job]"
        ),
    ] = None,
    allow_host: Annotated[
        list[str] | None,
        typer.Option(
            help="Host name by which browsers reach this server, such as a proxy's. May be given several times."
        ),
    ] = None,
    allow_origin: Annotated[
        list[str] | None,
        typer.Option(help="Origin of a web page that may use this server, such as https://viewer.example."),
    ] = None,
    studies: Annotated[
        list[Path] | None,
        typer.Option(help="Folder of scans that 3D Slicer or OHIF may open by MONAI Label; only read."),
    ] = None,
    train_with: Annotated[
        str, typer.Option(help="Recipe for training on corrections by MONAI Label; empty for none.")
    ] = "qiu2024_corrections",
    model: options.Model = None,
    pancreas_model: options.PancreasModel = None,
    device: options.Device = "cpu",
    tta: options.Tta = False,
    backend: options.BackendChoice = options.Backend.AUTO,
    max_memory: options.MaxMemory = None,
    keep_doubtful: options.KeepDoubtful = False,
) -> None:
    """Segment scans that are sent by browser or REST; not a medical device."""
    from pancascade.segmentation.batch.model_check import require_models_elsewhere
    from pancascade.services.server.server_run import require_extra, serve
    from pancascade.services.server.server_settings import new_token

    require_extra()
    token = new_token() if token == NEW else token or None
    models = [_with_place(name) for name in model or [options.DEFAULT_MODEL]]
    with ExitStack() as stack:
        kept = folder or Path(stack.enter_context(TemporaryDirectory(prefix="pancascade-server-")))
        settings = _settings(
            folder=kept.absolute(),
            host=host,
            port=port,
            token=token,
            allowed_hosts=tuple(allow_host or ()),
            allowed_origins=tuple(allow_origin or ()),
            max_upload_mb=max_upload,
            workers=workers,
            queue=queue,
            keep_hours=keep or None,
            corrections=None if corrections is None else corrections.absolute(),
            studies=tuple(path.absolute() for path in studies or ()),
            train_with=train_with,
            options={
                "model": tuple(models),
                "pancreas_model": _with_place(pancreas_model) if pancreas_model else None,
                "device": device,
                "tta": tta,
                "backend": backend.value,
                "max_memory_gb": max_memory,
                "keep_doubtful": keep_doubtful,
            },
        )
        require_models_elsewhere(settings.options)
        _require_recipe_elsewhere(settings.train_with)
        try:
            serve(settings, ready=lambda address: _print_address(address, token, temporary=folder is None))
        except KeyboardInterrupt:
            pass
        except SystemExit as ended:
            if ended.code not in [128 + number for number in ENDING]:
                raise
    typer.echo("Stopped.")


def _with_place(name: str) -> str:
    """Return a model's name, or its absolute path; a model that does not exist is refused.

    Raises:
        UnknownModelError: There is no such model.
    """
    if Path(name).is_file():
        return str(Path(name).absolute())
    if not (files("pancascade") / "weights" / f"{name}.json").is_file():
        # Its check of the name loads torch, which the server itself does not need.
        from pancascade.inference.models.known_models import find_model

        find_model(name)
        return str(Path(name).absolute())  # the folder of a network of another program
    return name


def _require_recipe_elsewhere(name: str) -> None:
    """Pass only if corrections can be trained on by this recipe; read in a process that may load torch.

    Raises:
        PancascadeError: It cannot be read.
    """
    if name and not (files("pancascade") / "recipes" / f"{name}.yaml").is_file():
        from pancascade.execution import LocalProcesses

        list(LocalProcesses(1).run(_require_recipe, [name]))


def _require_recipe(name: str) -> None:
    from pancascade.training.recipe import find_recipe, read_recipe

    read_recipe(find_recipe(name))


def _settings(**choices: object) -> "ServerSettings":
    from pydantic import ValidationError

    from pancascade.files.documents import first_fault
    from pancascade.services.server.server_settings import ServerSettings

    try:
        return ServerSettings.model_validate(choices)
    except ValidationError as error:
        reported = error.errors(include_url=False)[0]["msg"].removeprefix("Value error, ")
        if "token" in reported:  # the token must not be shown
            raise DataError(f"{reported[0].upper()}{reported[1:]}.") from None
        raise DataError(f"{first_fault(error)}. Check the options.") from error


def _print_address(address: str, token: str | None, *, temporary: bool) -> None:
    made = token is not None and os.environ.get("PANCASCADE_TOKEN") != token
    typer.echo(f"Open {address}{f'?token={token}' if made else ''}")
    if temporary:
        typer.echo("All data are removed when the server ends (--folder keeps them).")
    typer.echo("Ctrl-C ends it. Research use only. Not for clinical use.")
