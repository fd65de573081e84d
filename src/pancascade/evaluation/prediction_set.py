"""``predictions.json``: record of the files, weights and cases of `pancascade predict`."""

import json
from pathlib import Path
from typing import Any, Literal

from pydantic import AliasChoices, Field, ValidationError

from pancascade.data.readers.data_reading import DataReading
from pancascade.data.store.names import file_name
from pancascade.errors import DataError
from pancascade.files.atomic import written_whole
from pancascade.files.documents import first_fault, read_json, reason, shortened
from pancascade.files.file_names import composed
from pancascade.labels import Label
from pancascade.settings import Settings

NAME = "predictions.json"
PROBABILITIES = "probabilities"
"""Folder of the probability maps, below that of the masks."""


class PredictedCase(Settings):
    """Result of one case.

    Attributes:
        case: Name of the case in the data set.
        state: ``done``, or ``failed`` for a case without masks.
        seconds: Processing time of the case.
        files: Digest of every written file, by its path below the folder, masks first.
        message: Reason of a failure.
    """

    case: str
    state: Literal["done", "failed"]
    seconds: float = Field(ge=0)
    files: dict[str, str] = Field(default_factory=dict)
    message: str = ""


class PredictionSource(Settings):
    """Source of the predicted cases, as far as the caller gives it.

    Attributes:
        data_set: Name of the data set.
        reading: Reading options of the data set.
        split: Name of the split's file.
        split_digest: Digest of the split's content.
        part: Part of the split.
        fold: For a split of folds, the test fold.
    """

    data_set: str = ""
    reading: DataReading | None = None
    split: str | None = None
    split_digest: str | None = None
    part: str | None = None
    fold: int | None = None


class PredictionSet(Settings):
    """Masks of many cases by one checkpoint.

    Attributes:
        state: ``running`` until every case has been tried.
        pass_: Kind of the inference pass.
        checkpoint: Name of the weights file.
        checkpoint_digest: Digest of its content.
        labels: Title of each value of the masks.
        probabilities: Whether probability maps were also written.
        backend: Backend that ran the networks.
        source: Source of the cases.
        trained_on: Marks of the training patients of the weights, by data set.
        cases: Cases in the order of the data set; during a run only the finished ones.
        versions: Versions of the software that the masks depend on.
    """

    format: Literal[1] = 1
    use: str = "Research only. Not for clinical use."
    state: Literal["running", "finished"]
    pass_: Literal["papers"] = Field(default="papers", alias="pass")
    checkpoint: str
    checkpoint_digest: str
    labels: dict[str, str] = Field(default_factory=lambda: {str(int(label)): label.title for label in Label})
    probabilities: bool = False
    backend: str = Field(validation_alias=AliasChoices("backend", "engine"))
    source: PredictionSource = PredictionSource()
    trained_on: tuple[dict[str, Any], ...] = ()
    cases: tuple[PredictedCase, ...] = ()
    versions: dict[str, str] = Field(default_factory=dict)

    @property
    def done(self) -> tuple[PredictedCase, ...]:
        """The cases with masks."""
        return tuple(case for case in self.cases if case.state == "done")

    @property
    def failed(self) -> tuple[PredictedCase, ...]:
        """The cases without masks."""
        return tuple(case for case in self.cases if case.state == "failed")

    def same_work(self, other: "PredictionSet") -> str | None:
        """Return the first difference from another run, in words; None if there is none."""
        named = {
            "checkpoint_digest": "weights",
            "probabilities": "--probabilities",
            "backend": "device or backend",
            "source": "cases (data set, reading, split or part)",
        }
        return next((words for key, words in named.items() if getattr(self, key) != getattr(other, key)), None)


def volume_mask_name(case: str) -> str:
    """Return the file name of a volume's mask, below the folder of predictions."""
    return f"{file_name(composed(case))}.nii.gz"


def slice_mask_name(name: str) -> str:
    """Return the file name of a single slice's mask."""
    return f"{file_name(composed(name))}.png"


def volume_probability_name(case: str, label: Label) -> str:
    """Return the file name of a label's probabilities in a volume, below the folder of predictions."""
    return f"{PROBABILITIES}/{label.title}/{volume_mask_name(case)}"


def slice_probability_name(name: str) -> str:
    """Return the file name of a slice's probabilities (C, H, W), background first, key ``probabilities``."""
    return f"{PROBABILITIES}/{file_name(composed(name))}.npz"


def read_prediction_set(folder: Path) -> PredictionSet:
    """Read the record that `predict_cases` wrote into a folder.

    Raises:
        DataError: The record is missing or damaged.
    """
    path = folder / NAME
    try:
        return PredictionSet.model_validate(read_json(path))
    except FileNotFoundError as error:
        raise DataError(f"{folder.name}: holds no {NAME}. Give a folder that `pancascade predict` wrote.") from error
    except ValidationError as error:
        why = shortened(first_fault(error), 90)
        raise DataError(f"{NAME} in {folder.name}: not what was written ({why}). Predict again.") from error
    except (OSError, ValueError, TypeError) as error:
        raise DataError(f"{NAME} in {folder.name}: not readable ({reason(error)}). Predict again.") from error


def write_prediction_set(found: PredictionSet, folder: Path) -> None:
    """Write ``predictions.json``; a failure leaves no partial file.

    Raises:
        OutputError: The folder cannot be written.
    """
    with written_whole(folder / NAME) as temporary:
        text = json.dumps(found.model_dump(mode="json", by_alias=True), indent=1, ensure_ascii=False)
        temporary.write_text(text + "\n", encoding="utf-8")
