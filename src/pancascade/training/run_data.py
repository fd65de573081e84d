"""Data of a run, in each of its training processes."""

import logging
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from pancascade.training.data import TrainingData, read_training_data
from pancascade.training.data_warnings import data_warnings
from pancascade.training.provenance import require_unseen, training_record
from pancascade.training.run import Run

logger = logging.getLogger(__name__)


def read_data_of(run: Run, data: Path, *, beside: Path) -> TrainingData:
    """Read the data of a run, record its training patients, and log warnings.

    Raises:
        PancascadeError: The data cannot be used, or a patient is both trained on and held out.
    """
    with _folder_for_splits(run) as folder:
        sets = read_training_data(run.recipe, root=data, beside=beside, out=folder)
    require_unseen(run.trained_on, sets.patients)
    run.trained_on = training_record(sets.patients, run.trained_on)
    if run.group.leads:
        for warning in data_warnings(run.cascade.labels, training=sets.training, validation=sets.validation):
            logger.warning(warning)
    return sets


@contextmanager
def _folder_for_splits(run: Run) -> Iterator[Path]:
    """Yield the folder for drawn splits; processes that do not lead draw the same splits in a temporary folder."""
    if run.group.leads:
        yield run.folder
        return
    with TemporaryDirectory() as folder:
        for drawn in run.folder.glob("split_*.json"):
            shutil.copy(drawn, folder)
        yield Path(folder)
