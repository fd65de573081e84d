"""Models by name: the steps of a model, with their weights."""

from pathlib import Path
from typing import Any, Literal

from pydantic import AliasChoices, Field, ValidationError, ValidationInfo, field_validator, model_validator

from pancascade.errors import UnknownModelError, listed
from pancascade.files.documents import first_fault, read_json, reason
from pancascade.inference.external.kinds import ExternalKind, kind_of
from pancascade.inference.graphs.graph_files import SUFFIX
from pancascade.inference.localization.location_confidence import LocationFit
from pancascade.inference.models.model_calibration import Calibration
from pancascade.inference.models.model_files import find_file, shipped_folder
from pancascade.settings import Settings

Orientation = Literal["RAS", "LPS", "LAS", "LPI", "RAI", "RPI"]


_EARLIER_KEYS = {
    "field": "input",
    "locator": "rois_from",
    "consistent": "smooth_along_z",
    "rescue": "fallback_search",
}
_EARLIER_VALUES = {"input": {"region": "roi"}, "rois_from": {"own": "self", "before": "previous_step"}}


def _in_todays_words(step: Any) -> Any:
    """Return a step of a model with today's keys and values, also if it has those of earlier versions."""
    if not isinstance(step, dict):
        return step
    known = {_EARLIER_KEYS.get(key, key): value for key, value in step.items()}
    if len(known) < len(step):  # one setting under two keys: the error must name both
        return step
    for key, values in _EARLIER_VALUES.items():
        if isinstance(known.get(key), str):
            known[key] = values.get(known[key], known[key])
    return known


class Step(Settings):
    """One cascade of a model, or a network of another program.

    Attributes:
        kind: Kind of its weights: a ``cascade`` of pancascade, or one of `pancascade.inference.external.kinds`.
        weights: Checkpoint, beside the model's own file; or a place by `pancascade.inference.models.model_files`.
        digest: Digest of the checkpoint's content, if it is in another folder; None accepts any content.
        input: The whole ``scan``, or the ``roi`` around the pancreas of the step before.
        margin_mm: Margin around that region.
        rois_from: Source of the organ map for stage 2: the cascade's own stage 1 (``self``), or the steps before
            (``previous_step``), which replace stage 1.
        smooth_along_z: Whether stage 1 is smoothed along the z axis before stage 2.
        fallback_search: Whether stage 1's best candidate below probability ½ is used where nothing reaches ½.
        orientation: For an nnU-Net: orientation of the scan for it, such as RAS for TotalSegmentator's networks; None
            uses that of nnU-Net's own reader.
        organ_weight: Weight of this step for the organ inside the region, against the step before.
    """

    kind: Literal["cascade"] | ExternalKind = "cascade"
    weights: str
    digest: str | None = None
    input: Literal["scan", "roi"] = "scan"
    rois_from: Literal["self", "previous_step"] = "self"
    margin_mm: float = 10.0
    organ_weight: float = 0.5
    smooth_along_z: bool = True
    fallback_search: bool = True
    orientation: Orientation | None = None

    @model_validator(mode="before")
    @classmethod
    def _of_any_version(cls, step: Any) -> Any:
        return _in_todays_words(step)

    @field_validator("rois_from")
    @classmethod
    def _only_of_cascades(cls, rois_from: str, info: ValidationInfo) -> str:
        if rois_from == "previous_step" and info.data.get("kind", "cascade") != "cascade":
            raise ValueError("a network of another program uses no regions of an earlier step; leave rois_from at self")
        return rois_from


class TrainedOn(Settings):
    """Patients of a data set in the training data of weights.

    Attributes:
        data_set: Name of the data set.
        split: Digest of the split file; None without one.
        patients: Marks by `pancascade.files.digests.patient_mark`.
    """

    data_set: str
    split: str | None = None
    patients: tuple[str, ...]


class Model(Settings):
    """Cascades that run one after another, with their thresholds and calibration.

    Attributes:
        name: Name for ``--model``.
        summary: One sentence.
        steps: Steps in order.
        organ_threshold: Least probability of the organ, tumour included, chosen on validation patients.
        tumour_threshold: Least probability of tumour, chosen on validation patients.
        least_tumour_score: Patient-level tumour score below which nothing is marked as tumour by default, chosen on
            healthy and ill validation patients; 0 marks all that reaches the threshold.
        calibration: Calibration of the probabilities, fitted on validation patients.
        location_fit: Fit of the location's confidence on validation scans; None keeps the unfitted confidence.
        licence: Licence of the weights.
        trained_on: Marks of the patients in the training data, by data set, if the checkpoints do not record them.
        card: Markdown file with data, split, numbers and limits, beside the model's file.
        folder: Folder of the files.
    """

    name: str
    summary: str
    steps: tuple[Step, ...] = Field(min_length=1)
    organ_threshold: float = Field(default=0.5, gt=0, lt=1)
    tumour_threshold: float = Field(default=0.5, gt=0, lt=1)
    least_tumour_score: float = Field(
        default=0.0, ge=0, lt=1, validation_alias=AliasChoices("least_tumour_score", "least_suspicion")
    )
    calibration: Calibration = Calibration()
    location_fit: LocationFit | None = None
    licence: str = "unstated"
    trained_on: tuple[TrainedOn, ...] = ()
    card: str | None = None
    folder: Path = Path()

    @field_validator("steps")
    @classmethod
    def _starts_on_the_scan(cls, steps: tuple[Step, ...]) -> tuple[Step, ...]:
        if steps[0].input != "scan":
            raise ValueError("the first step's input must be scan")
        if steps[0].rois_from != "self":
            raise ValueError("the first step's rois_from must be self")
        return steps

    def weights_of(self, step: Step) -> Path:
        """Return the path of a step's checkpoint.

        Raises:
            UnknownModelError: The file of that name holds other weights.
        """
        return find_file(step.weights, folder=self.folder, digest=step.digest)

    def card_text(self) -> str:
        """Return the model card, or the summary if there is none.

        Raises:
            UnknownModelError: The card is named but missing.
        """
        if self.card is None:
            return self.summary
        try:
            return find_file(self.card, folder=self.folder).read_text(encoding="utf-8")
        except OSError as error:
            raise UnknownModelError(f"{self.folder / self.card}: the model's card is missing.") from error


DEFAULT_MODEL = "qiu2024-small"

EXPORTED = "model.json"
"""Description of a model in its own folder, as written by ``pancascade export --format pancascade``."""


def shipped_models() -> list[Model]:
    """Return the models that come with the package."""
    return [_read(path) for path in sorted(shipped_folder().glob("*.json")) if not path.name.endswith(SUFFIX)]


def find_model(name: str) -> Model:
    """Find a shipped model by name, or another by path: checkpoint, model's JSON file or folder, external network.

    Raises:
        UnknownModelError: There is no such model, or its file is damaged.
    """
    path = Path(name)
    if path.suffix == ".safetensors" and path.is_file():
        return Model(name=path.stem, summary="own checkpoint", steps=(Step(weights=path.name),), folder=path.parent)
    if path.suffix == ".json" and path.is_file():
        return _read(path)
    models = {model.name: model for model in shipped_models()}
    if name in models:
        return models[name]
    kind = kind_of(path)
    if kind is not None:
        step = Step(kind=kind, weights=path.resolve().name)
        return Model(name=step.weights, summary="external network", steps=(step,), folder=path.resolve().parent)
    if path.name and path.is_dir():
        if (path / EXPORTED).is_file():
            return _read(path / EXPORTED)
        _refuse_folder(path)
    raise UnknownModelError(
        f"{name}: no such model; shipped: {', '.join(models) or 'none'}; or give the path of a .safetensors file."
    )


def require_cascades(model: Model) -> None:
    """Refuse a model with a step that is no cascade of pancascade.

    Raises:
        UnknownModelError: A step is a network of another program.
    """
    if any(step.kind != "cascade" for step in model.steps):
        raise UnknownModelError(
            f"{model.name}: a network of another program is no cascade; use it with `segment` or `batch`. Give a "
            "model of pancascade."
        )


def with_pancreas_model(model: Model, name: str) -> Model:
    """Return a model whose pancreas comes from another one: the other's steps, then its own steps for a region.

    The organ is the other model's alone, so the calibration and fit of the model's own organ are removed.

    Args:
        model: Model that finds tumours in a region.
        name: Name or path of the other model, as for `find_model`.

    Raises:
        UnknownModelError: There is no such model, or no step of the first one works in a region.
    """
    other = find_model(name)
    close = [step for step in model.steps if step.input == "roi"]
    if not close:
        raise UnknownModelError(f"{model.name}: has no step for a region of the pancreas. Choose another --model.")
    first = [step.model_copy(update={"weights": str(other.weights_of(step).absolute())}) for step in other.steps]
    then = [
        step.model_copy(update={"weights": str(model.weights_of(step).absolute()), "organ_weight": 0.0})
        for step in close
    ]
    organ_free = {"organ_temperature": 1.0, "organ_offset": 0.0, "organ": None}
    return model.model_copy(
        update={
            "name": f"{model.name} after {other.name}",
            "steps": (*first, *then),
            "organ_threshold": other.organ_threshold,
            "calibration": model.calibration.model_copy(update=organ_free),
            "location_fit": None,
            "trained_on": (*model.trained_on, *other.trained_on),
        }
    )


def _refuse_folder(folder: Path) -> None:
    """Report which file of a folder, such as a training run's, is the model.

    Raises:
        UnknownModelError: Always.
    """
    if (folder / "best.safetensors").is_file():
        raise UnknownModelError(f"{folder.name}: a folder of a training run. Give its best.safetensors as --model.")
    files = sorted(path.name for path in folder.iterdir() if path.suffix in (".json", ".safetensors"))
    known = f"one of its files, such as {listed(files)}" if files else "a .safetensors or .json file"
    raise UnknownModelError(f"{folder.name}: a folder, no model. Give {known}.")


def _read(path: Path) -> Model:
    try:
        return Model.model_validate({**read_json(path), "folder": path.parent})
    except ValidationError as error:
        raise UnknownModelError(f"{path.name}: not a model description ({first_fault(error)}).") from error
    except (OSError, ValueError, TypeError) as error:
        raise UnknownModelError(f"{path.name}: not a readable model description ({reason(error)}).") from error
