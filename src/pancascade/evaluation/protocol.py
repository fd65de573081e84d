"""The protocol of an evaluation: all choices that change a number, except the masks.

Results of this field often differ by protocol: which slices count, the value of an empty case, the grid. Here every
such choice is a named setting, and every file of results contains it.
"""

from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import Field, ValidationError, model_validator

from pancascade.errors import DataError
from pancascade.evaluation.quantities import metrics_at
from pancascade.evaluation.target_labels import TargetLabels, spell_labels
from pancascade.files.documents import first_fault, reason
from pancascade.files.yaml_documents import read_yaml
from pancascade.metrics import SurfaceDefinition
from pancascade.settings import Settings

Aggregation = Literal["slices_with_target", "all_slices", "pooled", "volumes"]

AGGREGATIONS: dict[Aggregation, str] = {
    "slices_with_target": "mean over axial slices that show the target",
    "all_slices": "mean over all axial slices",
    "pooled": "all voxels of all scans taken together",
    "volumes": "mean over scans",
}


class EmptyRule(Settings):
    """Values for slices or scans with an empty mask.

    Attributes:
        both: Dice, IoU, sensitivity, precision and NSD if both masks are empty: ``one``, ``zero``, or left out
            (``skip``).
        reference: The same if only the reference is empty. ``zero`` gives 0 for the defined metrics (Dice, IoU,
            precision, NSD); sensitivity is undefined and always left out.
        prediction: Precision if only the prediction is empty; the formulas give 0 for the other metrics.
        distance: Surface distances of a scan if exactly one mask is empty: the scan's ``diagonal``, the largest
            possible distance, or left out. If both are empty they are always left out.
    """

    both: Literal["one", "zero", "skip"] = "one"
    reference: Literal["zero", "skip"] = "zero"
    prediction: Literal["zero", "skip"] = "zero"
    distance: Literal["diagonal", "skip"] = "diagonal"


class LesionRule(Settings):
    """Rule for a lesion that counts as found.

    Attributes:
        target: Target whose 26-connected components are the lesions.
        hit: ``iou`` of a candidate with the lesion, or the candidate's ``centre`` of mass in the lesion.
        least_iou: Least intersection over union of a hit; PANORAMA uses 0.15.
        candidates: Components of the predicted ``labels``, or of the confidence ``map`` above 0 (a detection map of
            PI-CAI and PANORAMA).
    """

    target: str = "tumour"
    hit: Literal["iou", "centre"] = "iou"
    least_iou: float = Field(default=0.15, gt=0, le=1)
    candidates: Literal["labels", "map"] = "labels"


if TYPE_CHECKING:
    from pydantic._internal._model_construction import ModelMetaclass as _RefusedInASentence  # checks a call's keys
else:

    class _RefusedInASentence(type(Settings)):
        """Makes a call of the class raise `DataError` where pydantic raises several lines; validation stays its own."""

        def __call__(cls, **settings: Any) -> Any:
            try:
                return super().__call__(**settings)
            except ValidationError as error:
                raise DataError(f"{cls.__name__}: {first_fault(error)}.") from error


class Protocol(Settings, metaclass=_RefusedInASentence):
    """Settings of the comparison of predictions with references, on the reference's grid.

    Attributes:
        name: Name of the protocol.
        source: Origin of the protocol.
        labels: Values that form each target.
        reference_labels: The same for the references, if different from the predictions.
        other_labels: Values in no target: ``refuse`` the file, or count them as ``background``.
        resample: Resample predictions on another grid to the reference's (nearest voxel) instead of refusing them.
        missing: A reference without a prediction: left out with a message (``report``), or counted as an ``empty``
            prediction.
        empty: Values for empty masks.
        surface: Definition of a surface.
        tolerances_mm: Tolerances of normalised surface Dice.
        lesions: Rule for found lesions.
        headline: The main aggregation, shown first.
        metrics: Columns of tables, in this order.
        resamples: Number of resamples of the bootstrap over patients.
        seed: Seed of the bootstrap.

    Raises:
        DataError: A setting is unknown or has a bad value.
    """

    name: str = "default"
    source: str = ""
    labels: TargetLabels = Field(default_factory=lambda: {"pancreas": (1, 2), "tumour": (2,)})
    reference_labels: TargetLabels | None = None
    other_labels: Literal["refuse", "background"] = "refuse"
    resample: bool = False
    missing: Literal["report", "empty"] = "report"
    empty: EmptyRule = EmptyRule()
    surface: SurfaceDefinition = "surfel"
    tolerances_mm: tuple[Annotated[float, Field(gt=0)], ...] = (1.0, 2.0)
    lesions: LesionRule = LesionRule()
    headline: Aggregation = "volumes"
    metrics: tuple[str, ...] = Field(default=("dice", "iou", "sensitivity", "precision", "hd95_mm"), min_length=1)
    resamples: int = Field(default=10_000, ge=100)
    seed: int = 0

    @model_validator(mode="after")
    def _names_what_there_is(self) -> Self:
        known = metrics_at(self.tolerances_mm)
        unknown = [metric for metric in self.metrics if metric not in known]
        if unknown or not self.metrics:
            raise ValueError(f"unknown metric {', '.join(unknown) or '(none)'}; known: {', '.join(known)}")
        missing = [target for target in self.labels if not self.labels_of_reference(target)]
        if missing:
            raise ValueError(f"the reference's labels name no {', '.join(missing)}")
        return self

    def labels_of_reference(self, target: str) -> tuple[int, ...]:
        """Return the values of the reference that form a target."""
        return (self.reference_labels or self.labels).get(target, ())

    def measurement(self) -> dict[str, Any]:
        """Return the settings that affect a scan's counts and distances; the others affect only summaries."""
        shown = self.model_dump(mode="json")
        keys = ("labels", "reference_labels", "other_labels", "resample", "surface", "tolerances_mm", "lesions")
        return {key: shown[key] for key in keys}

    def sentence(self) -> str:
        """Return the whole protocol as one line, as written into every table."""
        rule = self.empty
        hit = "centre" if self.lesions.hit == "centre" else f"IoU ≥ {self.lesions.least_iou:g}"
        reference = f"; labels of the reference {spell_labels(self.reference_labels)}" if self.reference_labels else ""
        parts = (
            f"protocol {self.name}; grid of the reference{', resampled by nearest voxel' if self.resample else ''}",
            f"labels {spell_labels(self.labels)}{reference}; other labels: {self.other_labels}",
            f"both empty: {rule.both}; reference empty: {rule.reference}; prediction empty: {rule.prediction}",
            f"distance to an empty mask: {rule.distance}; missing predictions: {self.missing}",
            f"surface: {self.surface}; NSD at {', '.join(f'{t:g}' for t in self.tolerances_mm)} mm",
            f"lesions: {self.lesions.target}, 26-connected, hit at {hit}, candidates from {self.lesions.candidates}",
            f"intervals: 95 % bootstrap over patients, {self.resamples} resamples, seed {self.seed}",
            f"pancascade {version('pancascade')}",
        )
        return "; ".join(parts)


PROTOCOLS: dict[str, Protocol] = {
    protocol.name: protocol
    for protocol in (
        Protocol(),
        Protocol(
            name="qiu2024",
            source="Qiu et al. 2024, section 4.2: Dice, SEN and SPE over test slices, all of which show the target",
            headline="slices_with_target",
            metrics=("dice", "sensitivity", "specificity"),
        ),
        Protocol(
            name="lsnet",
            source="L-SNet: DSC, precision and recall averaged over slices",
            headline="slices_with_target",
            metrics=("dice", "precision", "sensitivity"),
        ),
        Protocol(
            name="dsms_unet",
            source="DSMS U-Net: mean over slices, undefined ratios left out",
            headline="slices_with_target",
            empty=EmptyRule(both="skip", reference="skip", prediction="skip"),
            metrics=("dice", "precision", "sensitivity"),
        ),
        Protocol(
            name="zhao2019",
            source="Zhao et al. 2019: DSC of whole scans, mean ± standard deviation, maximum, minimum",
            headline="volumes",
            metrics=("dice",),
        ),
        Protocol(
            name="nnunet",
            source="nnU-Net: mean over scans, scans without reference and prediction left out",
            headline="volumes",
            labels={"pancreas": (1,), "tumour": (2,)},
            empty=EmptyRule(both="skip"),
            metrics=("dice", "iou"),
        ),
        Protocol(
            name="panorama",
            source="PANORAMA challenge: lesions at IoU 0.15; its label maps hold six classes",
            labels={"pancreas": (1, 2), "tumour": (2,)},
            reference_labels={"pancreas": (1, 4, 5), "tumour": (1,)},
            other_labels="background",
        ),
    )
}


def find_protocol(name: str) -> Protocol:
    """Return a protocol by name, or from a YAML file of `Protocol` settings.

    Raises:
        DataError: No protocol has this name, or the file is no protocol.
    """
    if name in PROTOCOLS:
        return PROTOCOLS[name]
    path = Path(name)
    if path.suffix not in (".yaml", ".yml"):
        raise DataError(f"{name}: no such protocol; known are {', '.join(PROTOCOLS)}, or give a .yaml file.")
    try:
        settings = read_yaml(path)
        return Protocol.model_validate({"name": path.stem, **settings})
    except ValidationError as error:
        raise DataError(f"{path.name}: not a protocol ({first_fault(error)}).") from error
    except (OSError, ValueError, TypeError) as error:
        raise DataError(f"{path.name}: not a readable protocol ({reason(error)}).") from error
