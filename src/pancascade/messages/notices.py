"""Notices for the reader of a result: a code for programs, a sentence for people."""

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from pancascade.messages.names_only import DICOM_FOLDER, names_only
from pancascade.settings import Settings

Severity = Literal["information", "warning"]
Subject = Literal["input", "location", "result"]
Sentence = Annotated[str, AfterValidator(lambda text: names_only(text, folder=DICOM_FOLDER))]
"""A sentence that names files without their folders."""


class Notice(Settings):
    """One observation or decision in the processing of a scan.

    Attributes:
        code: Kind of notice, for programs: small letters and underscores; docs/notices.md lists all codes.
        severity: ``warning`` if the result may be worse for it, ``information`` if it only explains.
        about: The scan (``input``), the ``location`` of the pancreas, or the ``result``.
        sentence: The same for people, in whole sentences: what was found and what to do.
        values: The numbers behind it, by name with unit.
    """

    code: str = Field(pattern=r"^[a-z][a-z0-9_]*$")
    severity: Severity = "warning"
    about: Subject
    sentence: Sentence
    values: Mapping[str, float | int | str] = Field(default_factory=dict)

    def __str__(self) -> str:
        return self.sentence
