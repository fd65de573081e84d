"""What one training gave on its test part, kept on disk: a finished one is never repeated."""

import json
from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationError

from pancascade.evaluation import CaseRecord
from pancascade.files.atomic import written_whole
from pancascade.files.documents import read_json
from pancascade.reproduction.published_numbers import CaseQuantity
from pancascade.settings import Settings

NAME = "measured.json"


class CaseValue(Settings):
    """One number of one slice or scan.

    Attributes:
        case: Name.
        patient: Whose it is.
        value: A share of 1.
    """

    case: str
    patient: str
    value: float


class Measured(Settings):
    """A training's numbers.

    Attributes:
        recipe: Digest of all that the weights depend on.
        weights: Digest of the weights' file; empty for masks of other software.
        epochs: It was trained.
        hours: That took, all sittings together.
        records: One a scan, or, of single slices, one a patient.
        values: Of stage 1 and its boxes, by what they are.
        first_parameters: Millions, of stage 1; None where there is no stage 1.
        failed: Cases that could not be predicted, and why.
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


def keep_measured(path: Path, measured: Measured) -> None:
    """Write the numbers, whole.

    Raises:
        OutputError: The folder cannot be written.
    """
    with written_whole(path) as temporary:
        temporary.write_text(json.dumps(measured.model_dump(mode="json"), ensure_ascii=False), encoding="utf-8")


def kept_measured(path: Path, *, recipe: str) -> Measured | None:
    """The numbers of an earlier run of the same training; None where there are none, or they are damaged.

    Args:
        path: Where `keep_measured` wrote.
        recipe: Digest of the training.
    """
    try:
        found = Measured.model_validate(read_json(path))
    except (OSError, ValueError, TypeError, ValidationError):
        return None
    return found if found.recipe == recipe else None
