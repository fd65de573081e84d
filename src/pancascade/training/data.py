"""Data of a run: reading and splitting of a recipe's sources."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from pancascade.data.readers import (
    READERS,
    Case,
    Layout,
    corrected_results,
    listed_images,
    prepared_store,
    recognise,
    require_files,
    slice_folder,
    volume_list,
)
from pancascade.data.readers.structure import named_structures
from pancascade.data.sampling import SampleSet, SliceSet, contains, load_slices, load_volumes
from pancascade.data.splits.split_designs import DESIGNS, draw_design
from pancascade.data.splits.splits import cases_of, draw_split, read_split
from pancascade.errors import DataError, RecipeError
from pancascade.files.digests import content_digest
from pancascade.imaging.preprocessing import Canvas, VolumeGrid
from pancascade.labels import HELPERS_UNKNOWN, Label
from pancascade.training.data_source import DataSource
from pancascade.training.data_warnings import unknown_patients
from pancascade.training.provenance import SourcePatients, require_apart
from pancascade.training.recipe import Recipe, recipes_folder

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
        training: One set per source.
        counts: Number of samples of each set per epoch.
        validation: Sets of the validating sources, with only the samples that the source keeps.
        patients: Training and held-out patients of each source.
    """

    training: tuple[SampleSet, ...]
    counts: tuple[int, ...]
    validation: tuple[SampleSet, ...]
    patients: tuple[SourcePatients, ...] = ()


@dataclass(frozen=True)
class _SplitSource:
    source: DataSource
    training: list[Case]
    validation: list[Case]
    patients: SourcePatients


def read_training_data(recipe: Recipe, *, root: Path, beside: Path, out: Path) -> TrainingData:
    """Read the sources of a recipe.

    Args:
        recipe: The recipe.
        root: The ``--data`` folder.
        beside: The recipe's folder, searched first for split files and volume lists.
        out: The run's folder, for drawn splits.

    Raises:
        DataError: A folder, index, picture or split is missing or damaged, no training data remain, or one source
            trains on a patient whom another holds out.
    """
    found = []
    for source in recipe.data:
        if source.optional and not _is_there(source, root=root, beside=beside):
            logger.warning("%s: not found in %s; training continues without it.", source.folder, root)
            continue
        found.append(_split_source(source, recipe.canvas, seed=recipe.seed, root=root, beside=beside, out=out))
    if not found:
        raise DataError(f"{root}: none of the recipe's data sets is there. Give the folder that holds them as --data.")
    patients = tuple(part.patients for part in found)
    require_apart(patients)
    training, counts, validation = [], [], []
    for part in found:
        source = part.source
        samples = _load(part.training, recipe.canvas, keep=KEEP[source.keep])
        if len(samples) == 0:
            raise DataError(f"{source.folder}: nothing is left by {_rules(source)}. Choose another rule.")
        if recipe.helper_organs and isinstance(samples, SliceSet) and not source.outlined(recipe.helper_organs):
            samples.labels[samples.labels == 0] = HELPERS_UNKNOWN
        training.append(samples)
        counts.append(source.per_epoch or len(samples))
        if part.validation:
            kept = _load(part.validation, recipe.canvas, keep=KEEP[source.keep])
            validation += [kept] if len(kept) else []
    return TrainingData(tuple(training), tuple(counts), tuple(validation), patients)


def _split_source(
    source: DataSource, canvas: Canvas | VolumeGrid, *, seed: int, root: Path, beside: Path, out: Path
) -> _SplitSource:
    cases = _cases(source, canvas, root=root, beside=beside)
    require_files(cases)
    everybody = frozenset(case.patient for case in cases)
    name = cases[0].source if cases else source.folder
    if source.split is None:
        return _SplitSource(source, cases, [], SourcePatients(name, everybody, frozenset(), None))
    path = _split_file(source, cases, seed=seed, beside=beside, out=out)
    split = read_split(path, fold=source.fold)
    strange = unknown_patients(path.name, frozenset().union(*split.values()), there=everybody)
    if strange is not None:
        logger.warning(strange)
    train = cases_of(cases, split["train"])
    validation = cases_of(cases, split["validation"]) if source.validate_on and split["validation"] else []
    held_out = (split["validation"] | split["test"]) & everybody
    patients = SourcePatients(name, split["train"] & everybody, held_out, content_digest(path))
    return _SplitSource(source, train, validation, patients)


def _load(cases: Sequence[Case], canvas: Canvas | VolumeGrid, *, keep: Callable[[Tensor], bool]) -> SampleSet:
    """Load the kept samples of the cases; slices that are not kept are never held in memory."""
    if isinstance(canvas, Canvas):
        return load_slices(cases, canvas, keep=keep)
    return load_volumes(cases, canvas).select(keep)


def _is_there(source: DataSource, *, root: Path, beside: Path) -> bool:
    if source.reader is not Layout.VOLUME_LIST:
        return _folder(source, root).is_dir()
    table = _find(source.folder, beside, root)
    return table is not None and all(path.is_file() for path in listed_images(table, root=root))


def _rules(source: DataSource) -> str:
    return f"rows_with and keep: {source.keep}" if source.rows_with else f"keep: {source.keep}"


def _folder(source: DataSource, root: Path) -> Path:
    """Return the source's folder below the data folder, or the data folder itself if it is the source."""
    named = Path(source.folder)
    below = next((path for path in (root / named, root / named.name) if path.exists()), None)
    if below is not None:
        return below
    return root if root.name == named.name or _holds_nih_alone(source, root) else root / named


def _holds_nih_alone(source: DataSource, root: Path) -> bool:
    """Return whether the data folder is NIH Pancreas-CT under another name, recognised by its patients' folders."""
    try:
        return source.reader is Layout.NIH_PANCREAS_CT and recognise(root) is source.reader
    except DataError:
        return False


def _split_file(source: DataSource, cases: Sequence[Case], *, seed: int, beside: Path, out: Path) -> Path:
    if source.split != "seeded" and source.split not in DESIGNS:
        return _beside(str(source.split), beside)
    path = out / f"split_{Path(source.folder).name}.json"
    if path.is_file():
        return path
    patients = [case.patient for case in cases]
    if source.split == "seeded":
        draw_split(patients, seed=seed, path=path)
        return path
    drawn = draw_design(DESIGNS[str(source.split)], patients, seed=seed)
    for remark in drawn.remarks:
        logger.info(remark)
    about = {"design": drawn.design.name, "note": drawn.note, "seed": seed, "remarks": list(drawn.remarks)}
    drawn.write(path, about=about)
    return path


def _cases(source: DataSource, canvas: Canvas | VolumeGrid, *, root: Path, beside: Path) -> list[Case]:
    if source.reader is Layout.SLICE_FOLDER:
        return slice_folder(
            _folder(source, root),
            window=source.window,
            flip_rows=source.flip_rows,
            mask_values=named_structures(source.mask_values),
            without_masks=source.without_masks,
            region_margin=source.region_margin,
            pixel_mm=source.pixel_mm,
            rows_with=source.rows_with,
        )
    if source.reader is Layout.VOLUME_LIST:
        return volume_list(_beside(source.folder, beside, root), root=root)
    if source.reader is Layout.CORRECTIONS:
        scans = None if source.scans is None else root / source.scans
        return corrected_results(_folder(source, root), scans=scans)
    if source.reader is Layout.STORE:
        return _of_store(source, _folder(source, root), canvas)
    return READERS[source.reader](_folder(source, root))


def _of_store(source: DataSource, folder: Path, canvas: Canvas | VolumeGrid) -> list[Case]:
    if isinstance(canvas, Canvas):
        # A target may vanish on a coarse canvas, so rules for its absence are applied after resampling.
        return prepared_store(folder, keep=source.keep if source.keep in ("pancreas", "tumour") else "all")
    cases = prepared_store(folder)
    if any(case.scan is None for case in cases):
        raise DataError(f"{folder}: a store of single slices, and the recipe needs volumes. Prepare --kind volumes.")
    return cases


def _beside(name: str, folder: Path, *more: Path) -> Path:
    path = _find(name, folder, *more)
    if path is None:
        raise RecipeError(f"{name}: not found beside the recipe ({folder}), in --data, or among the shipped recipes.")
    return path


def _find(name: str, *folders: Path) -> Path | None:
    places = [folder / name for folder in (*folders, recipes_folder())]
    return next((path for path in (*places, Path(name)) if path.is_file()), None)
