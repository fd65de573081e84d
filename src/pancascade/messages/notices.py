"""What a reader of a result should know: a code for machines, a sentence for people."""

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from pancascade.messages.names_only import DICOM_FOLDER, names_only
from pancascade.settings import Settings

Severity = Literal["information", "warning"]
Subject = Literal["input", "location", "result"]
Sentence = Annotated[str, AfterValidator(lambda text: names_only(text, folder=DICOM_FOLDER))]
"""Names files without their folders."""


class Notice(Settings):
    """One thing that was noticed, or decided, on a scan's way.

    Attributes:
        code: What it is, for machines: small letters and underscores; docs/notices.md lists them all.
        severity: ``warning`` where the result may be worse for it, ``information`` where it only explains.
        about: The scan as it came (``input``), where the pancreas was looked for (``location``), or the ``result``.
        sentence: The same for people, whole, with what was found and what to do.
        values: The numbers behind it, by name with unit.
    """

    code: str = Field(pattern=r"^[a-z][a-z0-9_]*$")
    severity: Severity = "warning"
    about: Subject
    sentence: Sentence
    values: Mapping[str, float | int | str] = Field(default_factory=dict)

    def __str__(self) -> str:
        return self.sentence
