"""What a model is: which weights find what, where, and what they are worth."""

from pathlib import Path
from typing import Any, Literal

from pydantic import AliasChoices, Field, ValidationInfo, field_validator, model_validator

from pancascade.errors import UnknownModelError
from pancascade.inference.external.kinds import ExternalKind
from pancascade.inference.localization.location_confidence import LocationFit
from pancascade.inference.models.model_calibration import Calibration
from pancascade.inference.models.model_files import find_file
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
            return find_file(self.card, folder=self.folder).read_text(encoding="utf-8", errors="replace")
        except OSError as error:
            raise UnknownModelError(f"{self.folder / self.card}: the model's card is missing.") from error


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
