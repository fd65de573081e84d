"""The data of a run under way, in each of the processes that train it."""

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
    """The data of a run, and whom its weights learn from; what is odd about them is logged.

    Raises:
        PancascadeError: They cannot be used, or a patient is trained on and held out.
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
    """Where splits are drawn; the processes that write nothing draw the same ones in a folder of their own."""
    if run.group.leads:
        yield run.folder
        return
    with TemporaryDirectory() as folder:
        for drawn in run.folder.glob("split_*.json"):
            shutil.copy(drawn, folder)
        yield Path(folder)
