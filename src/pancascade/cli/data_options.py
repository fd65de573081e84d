"""Options shared by the verbs of ``pancascade data``."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pancascade.errors import DataError
from pancascade.files.given_paths import real_path

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pancascade.data.readers import Case, Layout, PictureReading

LayoutName = Annotated[
    str | None,
    typer.Option(
        "--layout",
        help="msd, nih_pancreas_ct, panorama, nnunet_raw, slice_folder, region_folder, volume_list, store or "
        "corrections.",
        show_default="recognised",
    ),
]
PictureWindow = Annotated[
    tuple[float, float] | None,
    typer.Option("--picture-window", help="HU of grey 0 and grey 255 in a slice folder's pictures."),
]
FlipRows = Annotated[bool, typer.Option("--flip-rows", help="A slice folder's pictures show the back at the top.")]
Workers = Annotated[int, typer.Option(help="Number of processes; 0 takes one for every CPU core.", min=0)]


def read_cases(
    folder: Path, *, layout: str | None, picture_window: tuple[float, float] | None, flip_rows: bool
) -> "list[Case]":
    """Read the cases of a data set as the options say.

    Raises:
        DataError: An option does not fit, or the data set cannot be read.
    """
    from pancascade.data.readers import read_data_set

    chosen, pictures = choose_reading(layout, picture_window=picture_window, flip_rows=flip_rows)
    return read_data_set(folder, layout=chosen, pictures=pictures)


def require_pictures(
    folders: "Sequence[Path]", *, layout: str | None, picture_window: tuple[float, float] | None, flip_rows: bool
) -> None:
    """Refuse options about pictures if no data set is a folder of pictures.

    Args:
        folders: The data sets.
        layout: Given layout; None recognises each.
        picture_window: Value of the option.
        flip_rows: Value of the option.

    Raises:
        DataError: Such an option is given without a slice folder, or a folder is no data set.
    """
    from pancascade.data.readers import Layout, recognise

    given = ["--picture-window"] * (picture_window is not None) + ["--flip-rows"] * flip_rows
    if not given:
        return
    found = [layout or recognise(folder) for folder in folders]
    if Layout.SLICE_FOLDER not in found:
        raise DataError(
            f"{given[0]} is for pictures of a slice folder, but {real_path(folders[0]).name[:60]} is none "
            f"({found[0]}). Leave it out."
        )


def choose_reading(
    layout: str | None, *, picture_window: tuple[float, float] | None, flip_rows: bool
) -> "tuple[Layout | None, PictureReading]":
    """Return the layout and the reading of pictures that the options give.

    Raises:
        DataError: An option does not fit.
    """
    from pydantic import ValidationError

    from pancascade.data.readers import Layout, PictureReading
    from pancascade.files.documents import first_fault
    from pancascade.imaging.preprocessing import Window

    if layout is not None and layout not in list(Layout):
        raise DataError(f"--layout {layout}: known are {', '.join(Layout)}.")
    pictures = PictureReading(flip_rows=flip_rows)
    if picture_window is not None:
        try:
            window = Window(lower_hu=picture_window[0], upper_hu=picture_window[1])
        except ValidationError as error:
            raise DataError(f"--picture-window: {first_fault(error)}.") from error
        pictures = PictureReading(window, flip_rows)
    return None if layout is None else Layout(layout), pictures
