"""What is asked of a table, and its plan before anything long begins."""

from dataclasses import dataclass
from pathlib import Path

from pancascade.evaluation import PROTOCOLS, Protocol
from pancascade.reproduction.plan import Choices, Plan, PlannedTraining
from pancascade.reproduction.published_tables import Paper
from pancascade.reproduction.reproduced_table import protocol_of
from pancascade.reproduction.row_recipe import DataPlace
from pancascade.reproduction.training_run import finished

TRAININGS = "trainings"


@dataclass(frozen=True)
class Request:
    """Request of one table.

    Attributes:
        paper: Short name, or a YAML file of tables.
        table: Number of the table.
        place: Place of the data.
        out: Folder of the table.
        choices: Scale, seed, epochs, rows, folds, masks.
        split: A given split file; None draws the paper's design.
        trainings: Folder of the trainings, which several tables may share; None takes one in ``out``.
        resume: Continue the table in ``out``.
        device: ``cpu`` or ``cuda``.
        workers: Number of processes for counting, prediction and measurement.
    """

    paper: str
    table: str
    place: DataPlace
    out: Path
    choices: Choices
    split: Path | None = None
    trainings: Path | None = None
    resume: bool = False
    device: str = "cpu"
    workers: int = 1


@dataclass(frozen=True)
class Prepared:
    """A planned table, before any long work.

    Attributes:
        paper: The paper.
        request: The request.
        plan: Trainings of the requested rows.
        whole: Trainings of all rows that can be made; some may be finished.
        notes: Notes about the split.
    """

    paper: Paper
    request: Request
    plan: Plan
    whole: Plan
    notes: tuple[str, ...]

    @property
    def trainings(self) -> Path:
        """Folder of the trainings."""
        return self.request.trainings or self.request.out / TRAININGS

    @property
    def protocol(self) -> Protocol:
        """Protocol of the table."""
        return protocol_of(self.plan.table, PROTOCOLS)

    def left(self) -> list[PlannedTraining]:
        """Return the trainings that are not finished."""
        return [one for one in self.plan.trainings if finished(self.plan, one, self.trainings) is None]
