"""What the worker does in the tests of labelling: the stub of those tests, as a job."""

from pathlib import Path

from label_server import StubSegmenter

from pancascade.imaging.io import read_volume, write_volume
from pancascade.services.server.job import JobSummary
from pancascade.services.server.job_folder import JobFolder
from pancascade.services.server.scan_work import Outcome, ScanTask


def work(task: ScanTask) -> Outcome:
    """Segment by Hounsfield units."""
    folder = JobFolder(Path(task.folder))
    write_volume(read_volume(task.upload), folder.scan)
    StubSegmenter().segment(folder.scan, folder.result)
    return Outcome("done", 0.1, summary=JobSummary(pancreas_ml=1.0, lesions=1, tumour_ml=1.0))
