"""How predicting verbs read a data set: as the options say, or as in the training of the weights."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from pancascade.cli.data_options import choose_reading, require_pictures
from pancascade.errors import DataError
from pancascade.files.given_paths import real_path

if TYPE_CHECKING:
    from pancascade.data.readers import Case
    from pancascade.data.readers.data_reading import DataReading
    from pancascade.evaluation.prediction_set import PredictionSource


def find_reading(
    source: Path,
    *,
    layout: str | None,
    picture_window: tuple[float, float] | None,
    flip_rows: bool,
    checkpoint: Path | None = None,
) -> "DataReading":
    """Return the reading of a data set by the options; missing options about pictures come from the checkpoint.

    Args:
        source: The data set.
        layout: Given layout; None recognises it.
        picture_window: Hounsfield units of grey 0 and 255.
        flip_rows: Whether pictures show the back at the top.
        checkpoint: Weights whose recipe records how pictures were read; None without weights.

    Raises:
        DataError: There is no such data set, its pictures have no known window, or it has no pictures.
    """
    from pancascade.data.readers import Layout, recognise
    from pancascade.data.readers.data_reading import DataReading

    chosen, pictures = choose_reading(layout, picture_window=picture_window, flip_rows=flip_rows)
    require_pictures([source], layout=layout, picture_window=picture_window, flip_rows=flip_rows)
    found = chosen or recognise(source)
    if found is not Layout.SLICE_FOLDER:
        return DataReading(layout=found)
    trained = None if checkpoint is None else _trained_reading(checkpoint, real_path(source).name)
    if picture_window is not None:
        return DataReading(layout=found, window=pictures.window, flip_rows=flip_rows)
    if trained is None:
        nor = "" if checkpoint is None else ", and the weights do not record them"
        raise DataError(
            f"{source.name}: the Hounsfield units of its pictures are unknown{nor}. Give --picture-window, and "
            "--flip-rows if the back is at the top."
        )
    return DataReading.model_validate(trained | {"flip_rows": flip_rows or trained["flip_rows"]})


def _trained_reading(checkpoint: Path, name: str) -> dict[str, Any] | None:
    """Return how a checkpoint's recipe reads the slice folder of that name, or else its first slice folder."""
    from pancascade.data.readers.data_reading import DataReading
    from pancascade.methods.checkpoint import read_training

    recipe = read_training(checkpoint).get("recipe")
    sources = recipe.get("data") if isinstance(recipe, dict) else None
    pictures = [one for one in sources or [] if isinstance(one, dict) and one.get("reader") == "slice_folder"]
    pictures.sort(key=lambda one: Path(str(one.get("folder"))).name != name)
    for one in pictures:
        kept = {key: one[key] for key in DataReading.model_fields if key in one}
        return {"layout": "slice_folder", "flip_rows": False, **kept}
    return None


def cases_of_part(
    source: Path, reading: "DataReading", *, split: Path | None, part: str, fold: int | None
) -> "tuple[list[Case], PredictionSource]":
    """Return the cases of a part of a data set, or all cases, and the record of their origin.

    Raises:
        DataError: The data set or split cannot be used.
    """
    from pancascade.data.splits.splits import PARTS, cases_of, read_split
    from pancascade.evaluation.prediction_set import PredictionSource
    from pancascade.files.digests import content_digest

    cases = reading.cases(source)
    reported = PredictionSource(data_set=real_path(source).stem, reading=reading)
    if split is None:
        if fold is not None or part != "test":
            raise DataError("--fold and --part select from a split. Give --split, too.")
        return cases, reported
    if part not in PARTS:
        raise DataError(f"--part {part}: known are {', '.join(PARTS)}.")
    chosen = cases_of(cases, read_split(split, fold=fold)[part])
    about = {"split": split.name, "split_digest": content_digest(split), "part": part, "fold": fold}
    return chosen, reported.model_copy(update=about)
