"""Functions for Python programs beside `segment` and `segment_many`: each does the work of one verb."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Unpack

from pancascade.errors import DataError, RecipeError
from pancascade.evaluation import Method, Protocol, find_protocol, method_name
from pancascade.evaluation.method_names import name_methods
from pancascade.files.given_paths import given_path
from pancascade.report.comparison.evaluate_methods import EvaluationChoices, evaluate_methods
from pancascade.report.comparison.evaluated import Evaluated

if TYPE_CHECKING:
    from pancascade.training.processes import TrainingRequest
    from pancascade.training.run import RunProgress

__all__ = ["Evaluated", "TrainedRun", "compare", "evaluate", "train"]


@dataclass(frozen=True, repr=False)
class TrainedRun:
    """A finished training.

    Attributes:
        folder: Folder of the run.
        history: One entry for each epoch: losses, validation Dice, seconds.
    """

    folder: Path
    history: tuple[Mapping[str, Any], ...]

    @property
    def best(self) -> Path:
        """Path of the best weights; `segment` takes them as ``model``."""
        return self.folder / "best.safetensors"

    def __repr__(self) -> str:
        """Return a summary of the last epoch: "<TrainedRun: 2 epochs, validation Dice pancreas 0.712>"."""
        dice = self.history[-1]["dice"] if self.history else {}
        reported = (
            ", validation Dice " + ", ".join(f"{name} {value:.3f}" for name, value in dice.items()) if dice else ""
        )
        return f"<TrainedRun: {len(self.history)} epochs{reported}>"


def train(
    recipe: str | Path,
    data: str | Path | None = None,
    *,
    out: str | Path,
    source: str | Path | None = None,
    split: str | Path | None = None,
    fold: int | None = None,
    keep: str | None = None,
    scans: str | Path | None = None,
    resume: bool = False,
    start_from: str | Path | None = None,
    device: str = "cpu",
    devices: int = 1,
    nodes: int = 1,
    progress: "Callable[[RunProgress, int, int], None] | None" = None,
) -> TrainedRun:
    """Train a cascade by a recipe, as `pancascade train`.

    Args:
        recipe: A recipe file, or the name of a shipped one, such as ``qiu2024_demo``.
        data: Folder of the recipe's data sets.
        out: Folder of the run.
        source: One data set to train on instead of the recipe's.
        split: Split file of `source`.
        fold: For a split with folds: the fold to test on.
        keep: Slices of `source`: ``all``, ``pancreas``, ``tumour``, ``no_pancreas`` or ``no_tumour``.
        scans: Scans of a `source` of corrections, if they are not beside them.
        resume: Continue the run in `out`.
        start_from: Weights to train further.
        device: ``cpu``, ``cuda``, or one of several such as ``cuda:1``.
        devices: Processes of each node that train together. With more than one, a script needs
            ``if __name__ == "__main__":``.
        nodes: Computers that train together.
        progress: Called after every batch.

    Raises:
        RecipeError: Neither `data` nor `source` is given, or options of `source` are given without it.
        PancascadeError: Recipe, data or folder cannot be used.
    """
    from pancascade.training import find_recipe, recipe_on
    from pancascade.training.processes import TrainingRequest

    path = find_recipe(str(given_path(recipe, what="recipe")))
    if source is None:
        if data is None:
            raise RecipeError("Give --data, the folder that holds the recipe's data sets, or --source, another one.")
        if any(value is not None for value in (split, fold, keep, scans)):
            raise RecipeError(
                "--split, --fold, --keep and --scans belong to --source; a recipe has its own. Give --source, too."
            )
    request = TrainingRequest(
        path,
        given_path(data, what="data") if data is not None else Path(str(source)).parent,
        given_path(out, what="out"),
        resume=resume,
        start_from=_path(start_from, what="start_from"),
        device=device,
        devices=devices,
        nodes=nodes,
    )
    if source is None:
        return _fit(request, progress)
    text = recipe_on(
        path,
        given_path(source, what="source"),
        split=_path(split, what="split"),
        fold=fold,
        keep=keep,
        scans=_path(scans, what="scans"),
    )
    with TemporaryDirectory() as temporary:
        changed = Path(temporary) / path.name
        changed.write_text(text, encoding="utf-8")
        return _fit(replace(request, recipe=changed), progress)


def _fit(request: "TrainingRequest", progress: "Callable[[RunProgress, int, int], None] | None") -> TrainedRun:
    from pancascade.training.process_environment import require_alone
    from pancascade.training.processes import fit_in_processes, fit_requested

    if request.size > 1:
        return TrainedRun(request.out, tuple(fit_in_processes(request, progress=progress)))
    require_alone()
    return TrainedRun(request.out, tuple(fit_requested(request, progress=progress).history))


def evaluate(
    predictions: str | Path,
    reference: str | Path,
    *,
    out: str | Path | None = None,
    protocol: str | Protocol = "default",
    confidence: str | Path | None = None,
    scores: Mapping[str, float] | None = None,
    **choices: Unpack[EvaluationChoices],
) -> Evaluated:
    """Compare predicted masks with their references, as `pancascade evaluate`.

    Args:
        predictions: Folder of label maps, or one file.
        reference: Folder of label maps with the same names, a single file, or the data set that `predict` read.
        out: Folder for tables and ``report.html``; None writes nothing.
        protocol: What is compared and how: a name, a ``.yaml`` file, or `Protocol`.
        confidence: Folder of maps of the lesions' likelihood.
        scores: Likelihood that the patient has a lesion, by case.
        choices: Of `pancascade.report.comparison.evaluate_methods.evaluate_methods`: ``patients``, ``part``,
            ``allow_training_cases``, ``scans``, ``workers``, ``executor``, ``progress``.

    Returns:
        All numbers; their text shows those of the headline.

    Raises:
        DataError: No case could be compared.
        OutputError: The folder cannot be written.
    """
    place = given_path(predictions, what="predictions")
    method = Method(method_name(place), place, confidence=_path(confidence, what="confidence"), scores=scores or {})
    return evaluate_methods(
        [method],
        given_path(reference, what="reference"),
        out=_path(out, what="out"),
        protocol=_protocol(protocol),
        **choices,
    )


def compare(
    reference: str | Path,
    methods: Mapping[str, str | Path] | Sequence[str | Path],
    *,
    out: str | Path | None = None,
    protocol: str | Protocol = "default",
    figure: str | Path | None = None,
    **choices: Unpack[EvaluationChoices],
) -> Evaluated:
    """Compare methods over the same cases: intervals, tests, ranks, as `pancascade compare`.

    Args:
        reference: Folder of label maps.
        methods: Folder of predictions by the method's name, or folders whose names are the methods'.
        out: Folder for tables and ``report.html``; None writes nothing.
        protocol: As for `evaluate`.
        figure: File for a figure of the methods side by side: .png, .pdf or .svg.
        choices: As for `evaluate`.

    Raises:
        DataError: There are fewer than two methods, two of one name, or no case could be compared.
        OutputError: The folder cannot be written.
    """
    several = [methods] if isinstance(methods, str | Path) else methods
    if not isinstance(several, Mapping | Sequence):
        raise TypeError(f"methods: give folders by their method's name, or a list, got {type(methods).__name__}.")
    named = several if isinstance(several, Mapping) else name_methods([str(folder) for folder in several])
    entries = [Method(name, given_path(folder, what="methods")) for name, folder in named.items()]
    if len(entries) < 2:
        raise DataError("compare needs the folders of at least two methods; use evaluate for one.")
    return evaluate_methods(
        entries,
        given_path(reference, what="reference"),
        out=_path(out, what="out"),
        figure=_path(figure, what="figure"),
        protocol=_protocol(protocol),
        **choices,
    )


def _protocol(protocol: str | Protocol) -> Protocol:
    return protocol if isinstance(protocol, Protocol) else find_protocol(str(given_path(protocol, what="protocol")))


def _path(path: str | Path | None, *, what: str) -> Path | None:
    return None if path is None else given_path(path, what=what)
