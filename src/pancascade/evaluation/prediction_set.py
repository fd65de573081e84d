"""``predictions.json``: what `pancascade predict` has written, with which weights, of which cases."""

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
    """What came of one case.

    Attributes:
        case: Its name in the data set.
        state: ``done``, or ``failed`` for one without masks.
        seconds: Its share of the work.
        files: Digest of every file that was written, by its path below the folder: masks first.
        message: Why it failed.
    """

    case: str
    state: Literal["done", "failed"]
    seconds: float = Field(ge=0)
    files: dict[str, str] = Field(default_factory=dict)
    message: str = ""


class PredictionSource(Settings):
    """Which cases were predicted, as far as the caller tells.

    Attributes:
        data_set: Name of the data set.
        reading: How it was read.
        split: Name of the split's file.
        split_digest: Of its content.
        part: Of the split.
        fold: Of a split of folds, the one that is tested on.
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
        pass_: What was done with each slice or volume.
        checkpoint: Name of the weights' file.
        checkpoint_digest: Of its content.
        labels: Title of each value of the masks.
        probabilities: Whether probability maps were written, too.
        backend: What ran the networks.
        source: Which cases.
        trained_on: Marks of the patients whom the weights learned from, by data set.
        cases: In the order of the data set; while it runs those that are finished.
        versions: Of what the masks depend on.
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
        """The cases that have masks."""
        return tuple(case for case in self.cases if case.state == "done")

    @property
    def failed(self) -> tuple[PredictedCase, ...]:
        """The cases that have none."""
        return tuple(case for case in self.cases if case.state == "failed")

    def same_work(self, other: "PredictionSet") -> str | None:
        """The first thing in which another run's work differs, in words; None where it is the same."""
        named = {
            "checkpoint_digest": "weights",
            "probabilities": "--probabilities",
            "backend": "device or backend",
            "source": "cases (data set, reading, split or part)",
        }
        return next((words for key, words in named.items() if getattr(self, key) != getattr(other, key)), None)


def volume_mask_name(case: str) -> str:
    """File of a volume's mask, below the folder of predictions."""
    return f"{file_name(composed(case))}.nii.gz"


def slice_mask_name(name: str) -> str:
    """File of a single slice's mask."""
    return f"{file_name(composed(name))}.png"


def volume_probability_name(case: str, label: Label) -> str:
    """File of a label's probabilities in a volume, below the folder of predictions."""
    return f"{PROBABILITIES}/{label.title}/{volume_mask_name(case)}"


def slice_probability_name(name: str) -> str:
    """File of a single slice's probabilities (C, H, W), background first, under the key ``probabilities``."""
    return f"{PROBABILITIES}/{file_name(composed(name))}.npz"


def read_prediction_set(folder: Path) -> PredictionSet:
    """What `predict_cases` has written into a folder.

    Raises:
        DataError: There is none, or it is damaged.
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
    """Write ``predictions.json``, whole.

    Raises:
        OutputError: The folder cannot be written.
    """
    with written_whole(folder / NAME) as temporary:
        text = json.dumps(found.model_dump(mode="json", by_alias=True), indent=1, ensure_ascii=False)
        temporary.write_text(text + "\n", encoding="utf-8")
