"""Issues of a data set and their severity."""

from enum import StrEnum

from pancascade.messages.notices import Sentence
from pancascade.settings import Settings


class Severity(StrEnum):
    """Meaning of an issue for training and evaluation.

    An error makes a case unusable or wrong; a warning needs a manual check; a note is information.
    """

    ERROR = "error"
    WARNING = "warning"
    NOTE = "note"


class Issue(Settings):
    """One issue of a data set.

    Attributes:
        kind: One word or two joined by a hyphen, such as ``flipped-label``; scripts may rely on it.
        severity: Severity of the issue.
        message: One sentence with the file, the problem, and what to do.
        case: Name of the case; None if it concerns the whole data set.
        patient: Patient of the case.
        source: Name of the case's data set.
        others: Names of further cases concerned, such as the other one of a pair of duplicates.
    """

    kind: str
    severity: Severity
    message: Sentence
    case: str | None = None
    patient: str | None = None
    source: str | None = None
    others: tuple[str, ...] = ()
