"""Models by name: which weights find what, where."""

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
    """A step of a model in today's keys and values; whoever wrote it in those of earlier versions is understood."""
    if not isinstance(step, dict):
        return step
    known = {_EARLIER_KEYS.get(key, key): value for key, value in step.items()}
    if len(known) < len(step):  # one thing under two keys: the refusal shall name them as they are
        return step
    for key, values in _EARLIER_VALUES.items():
        if isinstance(known.get(key), str):
            known[key] = values.get(known[key], known[key])
    return known


class Step(Settings):
    """One cascade of a model, or a network of another program.

    Attributes:
        kind: What its weights are: a ``cascade`` of pancascade, or one of `pancascade.inference.external.kinds`.
        weights: Checkpoint, beside the model's own file; or as `pancascade.inference.models.model_files` writes it.
        digest: Of the checkpoint's content, where it lies elsewhere; None takes what has its name.
        input: Where it works: the whole ``scan``, or the ``roi`` around the pancreas of the step before.
        margin_mm: Width added around that region.
        rois_from: Whose map of the organ is handed to stage 2: that of the cascade's stage 1 (``self``), or of
            the steps before (``previous_step``), which stand in for it.
        smooth_along_z: Whether stage 1 is smoothed along the z axis before stage 2.
        fallback_search: Whether a location of low confidence of the pancreas in the scan is looked for further.
        orientation: Of an nnU-Net: how the scan is turned for it, such as RAS for TotalSegmentator's networks; None as
            nnU-Net's own reader has it.
        organ_weight: Weight of this step's view of the organ inside the region, against the step before.
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
            raise ValueError(
                "a network of another program takes no regions of an earlier step; leave rois_from at self"
            )
        return rois_from


class TrainedOn(Settings):
    """Patients of a data set whom weights learned from.

    Attributes:
        data_set: Its name.
        split: Digest of the split file; None without one.
        patients: Marks, as `pancascade.files.digests.patient_mark` gives them.
    """

    data_set: str
    split: str | None = None
    patients: tuple[str, ...]


class Model(Settings):
    """Cascades that follow one another, and what they are worth.

    Attributes:
        name: As given to ``--model``.
        summary: One sentence.
        steps: In order.
        organ_threshold: Least probability of the organ, tumour included, chosen on validation patients.
        tumour_threshold: Least probability of tumour, chosen on validation patients.
        least_tumour_score: Patient-level tumour score below which nothing is marked as tumour by default, chosen on
            healthy and ill validation patients; 0 marks whatever reaches the threshold.
        calibration: Temperatures of the probabilities, fitted on validation patients.
        location_fit: What a location is worth, fitted on validation scans; None tells the unfitted confidence.
        licence: Of the weights.
        trained_on: Marks of the patients whom the weights learned from, by data set, where checkpoints do not tell.
        card: Markdown file with data, split, numbers and limits, beside the model's file.
        folder: Where the files are.
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
        """Where a step's checkpoint lies.

        Raises:
            UnknownModelError: What has its name holds other weights.
        """
        return find_file(step.weights, folder=self.folder, digest=step.digest)

    def card_text(self) -> str:
        """The model card, or the summary if there is none.

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
"""Description of a model in a folder of its own, as ``pancascade export --format pancascade`` writes it."""


def shipped_models() -> list[Model]:
    """The models that come with the package."""
    return [_read(path) for path in sorted(shipped_folder().glob("*.json")) if not path.name.endswith(SUFFIX)]


def is_own(name: str) -> bool:
    """Whether a name is none of a shipped model: a path, or a mistake.

    Args:
        name: As for `find_model`.
    """
    if Path(name).suffix in (".safetensors", ".json") and Path(name).is_file():
        return True
    return Path(name).name != name or not (shipped_folder() / f"{name}.json").is_file()


def find_model(name: str) -> Model:
    """A shipped model by name, or one of your own by path: checkpoint, model's JSON file or folder, external network.

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
    """Pass only for a model all of whose steps are cascades of pancascade.

    Raises:
        UnknownModelError: One is a network of another program.
    """
    if any(step.kind != "cascade" for step in model.steps):
        raise UnknownModelError(
            f"{model.name}: a network of another program is no cascade; only `segment` and `batch` take it. Give a "
            "model of pancascade."
        )


def with_pancreas_model(model: Model, name: str) -> Model:
    """A model whose pancreas another one finds: the other's steps, then its own that work in the pancreas's region.

    The organ is the other's alone, so that what was fitted to the model's own organ no longer holds.

    Args:
        model: That finds tumours in a region.
        name: As for `find_model`.

    Raises:
        UnknownModelError: There is no such model, or none of the first one's steps works in a region.
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
    """Say which file of a run's folder, or of another one, is the model.

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
