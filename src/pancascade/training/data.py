"""The data of a run: sources of a recipe, read and split."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from pancascade.datasets import (
    READERS,
    Case,
    Layout,
    Part,
    cases_of,
    draw_split,
    listed_images,
    read_split,
    require_files,
    slice_folder,
    volume_list,
)
from pancascade.errors import DataError, RecipeError
from pancascade.labels import Label
from pancascade.preprocessing import Canvas, VolumeGrid
from pancascade.sampling import SampleSet, contains, load_slices, load_volumes
from pancascade.training.recipe import DataSource, Recipe, recipes_folder

logger = logging.getLogger(__name__)


def _keeps_all(_: Tensor) -> bool:
    return True


KEEP: dict[str, Callable[[Tensor], bool]] = {
    "all": _keeps_all,
    "pancreas": contains(Label.PANCREAS, Label.TUMOUR),
    "tumour": contains(Label.TUMOUR),
    "no_pancreas": lambda labels: not contains(Label.PANCREAS, Label.TUMOUR)(labels),
    "no_tumour": lambda labels: not contains(Label.TUMOUR)(labels),
}


@dataclass(frozen=True)
class TrainingData:
    """Slices or volumes of a run, in memory.

    Attributes:
        training: One set a source.
        counts: Samples of each set that make an epoch.
        validation: Sets of the sources that validate; only samples that the source keeps.
    """

    training: tuple[SampleSet, ...]
    counts: tuple[int, ...]
    validation: tuple[SampleSet, ...]


def read_training_data(recipe: Recipe, *, root: Path, beside: Path, out: Path) -> TrainingData:
    """Read the sources of a recipe.

    Args:
        recipe: The recipe.
        root: The ``--data`` folder.
        beside: The recipe's folder, where split files and volume lists are looked for first.
        out: The run's folder, where drawn splits are written.

    Raises:
        DataError: A folder, index, picture or split is missing or damaged, or nothing is left to train on.
    """
    training, counts, validation = [], [], []
    for source in recipe.data:
        if source.optional and not _is_there(source, root=root, beside=beside):
            logger.warning("%s: not found in %s; training goes on without it.", source.folder, root)
            continue
        cases = _cases(source, root=root, beside=beside)
        require_files(cases)
        train, held_out = cases, []
        if source.split is not None:
            split = _split(source, cases, seed=recipe.seed, beside=beside, out=out)
            train = cases_of(cases, split["train"])
            if source.validate_on and split["validation"]:
                held_out = cases_of(cases, split["validation"])
        samples = _load(train, recipe.canvas).select(KEEP[source.keep])
        if len(samples) == 0:
            raise DataError(f"{source.folder}: nothing is left by keep: {source.keep}. Choose another rule.")
        training.append(samples)
        counts.append(source.per_epoch or len(samples))
        if held_out:
            kept = _load(held_out, recipe.canvas).select(KEEP[source.keep])
            validation += [kept] if len(kept) else []
    if not training:
        raise DataError(f"{root}: none of the recipe's data sets is there. Give the folder that holds them as --data.")
    return TrainingData(tuple(training), tuple(counts), tuple(validation))


def _load(cases: Sequence[Case], canvas: Canvas | VolumeGrid) -> SampleSet:
    return load_slices(cases, canvas) if isinstance(canvas, Canvas) else load_volumes(cases, canvas)


def _is_there(source: DataSource, *, root: Path, beside: Path) -> bool:
    if source.reader != "volume_list":
        return _folder(source, root).is_dir()
    table = _find(source.folder, beside, root)
    return table is not None and all(path.is_file() for path in listed_images(table, root=root))


def _folder(source: DataSource, root: Path) -> Path:
    """The source's folder below the data folder, or the data folder itself if that is the one."""
    below = root / source.folder
    return root if root.name == source.folder and not below.exists() else below


def _split(
    source: DataSource, cases: Sequence[Case], *, seed: int, beside: Path, out: Path
) -> dict[Part, frozenset[str]]:
    if source.split != "seeded":
        return read_split(_beside(str(source.split), beside))
    path = out / f"split_{Path(source.folder).name}.json"
    return read_split(path) if path.is_file() else draw_split([c.patient for c in cases], seed=seed, path=path)


def _cases(source: DataSource, *, root: Path, beside: Path) -> list[Case]:
    if source.reader == "slice_folder":
        return slice_folder(
            _folder(source, root),
            window=source.window,
            flip_rows=source.flip_rows,
            region_margin=source.region_margin,
        )
    if source.reader == "volume_list":
        return volume_list(_beside(source.folder, beside, root), root=root)
    return READERS[Layout(source.reader)](_folder(source, root))


def _beside(name: str, folder: Path, *more: Path) -> Path:
    path = _find(name, folder, *more)
    if path is None:
        raise RecipeError(f"{name}: not found beside the recipe ({folder}), in --data, or among the shipped recipes.")
    return path


def _find(name: str, *folders: Path) -> Path | None:
    places = [folder / name for folder in (*folders, recipes_folder())]
    return next((path for path in (*places, Path(name)) if path.is_file()), None)
