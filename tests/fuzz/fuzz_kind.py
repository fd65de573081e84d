"""What a kind of input is: how a good one is made, spoilt, used, and how it is told whether a result is right."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from random import Random
from typing import Any, ClassVar

Answer = Mapping[str, Any]
"""What a command says about each case, or about the one input it has."""


class Kind(ABC):
    """One kind of input.

    Attributes:
        name: In the names of tests.
        share: Of 200 cases.
        commands: Arguments of the command line that read it; paths are relative to the case's folder, and what is
            written goes to names that begin with ``out``.
        left: Names in ``out`` that may stay after a refusal: finished parts of work that the next run takes up.
        needs: Libraries of extras; where one is missing, the kind is skipped.
        least_count: Runs of fewer cases leave it out: its libraries alone take seconds to import.
    """

    name: ClassVar[str]
    share: ClassVar[int]
    commands: ClassVar[tuple[str, ...]]
    left: ClassVar[frozenset[str]] = frozenset()
    needs: ClassVar[tuple[str, ...]] = ()
    least_count: ClassVar[int] = 0

    @abstractmethod
    def build(self, folder: Path) -> None:
        """Write a good input into an empty folder."""

    @abstractmethod
    def mutate(self, folder: Path, random: Random) -> str:
        """Change the input; returns what was done."""

    @abstractmethod
    def answer(self, folder: Path, command: str) -> Answer:
        """What the command wrote."""

    def excused(self, folder: Path, command: str, answer: Answer, good: Path) -> bool:
        """Whether another answer is right: an independent look at the changed input says the same.

        Args:
            folder: Of the case, with the answer.
            command: That was run.
            answer: That it gave.
            good: Folder of the good input.
        """
        return False
