"""Results of one training on its test part, stored on disk: a finished training is not repeated."""

import json
from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationError

from pancascade.evaluation import CaseRecord
from pancascade.files.atomic import written_whole
from pancascade.files.digests import text_digest
from pancascade.files.documents import read_json
from pancascade.reproduction.published_numbers import CaseQuantity
from pancascade.settings import Settings

NAME = "measured.json"


class CaseValue(Settings):
    """One number of one slice or scan.

    Attributes:
        case: Name of the case.
        patient: Patient of the case.
        value: The number, as a share of 1.
    """

    case: str
    patient: str
    value: float


class Measured(Settings):
    """Results of one training.

    Attributes:
        recipe: Digest of all that the weights depend on.
        weights: Digest of the weights' file; empty for masks of other software.
        epochs: Number of trained epochs.
        hours: Time of the training, all runs together.
        records: One for each scan, or for each patient of single slices.
        values: Numbers of stage 1 and its boxes, by quantity.
        first_parameters: Parameters of stage 1 in millions; None without stage 1.
        failed: Reason for each case that could not be predicted.
        digest: Of all the rest, to notice damage; empty in files of older versions.
    """

    format: Literal[1] = 1
    recipe: str
    weights: str = ""
    epochs: int = 0
    hours: float = 0.0
    records: tuple[CaseRecord, ...] = ()
    values: dict[CaseQuantity, tuple[CaseValue, ...]] = Field(default_factory=dict)
    first_parameters: float | None = None
    failed: dict[str, str] = Field(default_factory=dict)
    digest: str = ""

    def own_digest(self) -> str:
        """Return the digest that the results should name."""
        return text_digest(self.model_dump_json(exclude={"digest"}))


def keep_measured(path: Path, measured: Measured) -> None:
    """Write the results, whole or not at all.

    Raises:
        OutputError: The folder cannot be written.
    """
    with written_whole(path) as temporary:
        named = {**measured.model_dump(mode="json"), "digest": measured.own_digest()}
        temporary.write_text(json.dumps(named, ensure_ascii=False), encoding="utf-8")


def kept_measured(path: Path, *, recipe: str) -> Measured | None:
    """Return the results of an earlier run of the same training; None if there are none, or they are damaged.

    Args:
        path: File by `keep_measured`.
        recipe: Digest of the training.
    """
    try:
        found = Measured.model_validate(read_json(path))
    except (OSError, ValueError, TypeError, ValidationError):
        return None
    whole = found.digest in ("", found.own_digest())
    return found if whole and found.recipe == recipe else None
