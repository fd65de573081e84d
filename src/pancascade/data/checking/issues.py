"""What can be wrong with a data set, and how badly."""

from enum import StrEnum

from pancascade.messages.notices import Sentence
from pancascade.settings import Settings


class Severity(StrEnum):
    """What a finding means for training and evaluation.

    An error makes a case unusable or wrong; a warning is to be looked at by a person; a note is worth knowing.
    """

    ERROR = "error"
    WARNING = "warning"
    NOTE = "note"


class Issue(Settings):
    """One thing that was found.

    Attributes:
        kind: What it is, in one word or two joined by a hyphen, such as ``flipped-label``; scripts may rely on it.
        severity: How bad it is.
        message: One sentence that names the file, what was found, and what to do.
        case: Name of the case; None where it is about the whole data set.
        patient: Whose case it is.
        source: Name of the case's data set.
        others: Names of further cases that it is about, such as the other one of a pair of duplicates.
    """

    kind: str
    severity: Severity
    message: Sentence
    case: str | None = None
    patient: str | None = None
    source: str | None = None
    others: tuple[str, ...] = ()
