"""Read and correct masks in 3D Slicer or OHIF: MONAI Label's routes on top of the server's jobs."""

from pathlib import Path
from shutil import copytree
from typing import TYPE_CHECKING

from pancascade.services.server.job_service import JobService
from pancascade.services.server.server_settings import ServerSettings

if TYPE_CHECKING:
    from fastapi import FastAPI

FOLDER = "labelling"
"""Folder of scans, results and corrections, below the server's; unlike jobs they are kept until they are removed."""


class JobSegmenter:
    """Segments a scan as a job of the server, in its queue and by its processes.

    Args:
        service: Service of the jobs.

    Attributes:
        model: Name of the model, without the folders of its files.
        description: Description for readers.
    """

    def __init__(self, service: JobService) -> None:
        self._service = service
        options = service.settings.options
        self.model = "+".join(map(_name_of, options.model))
        if options.pancreas_model is not None:  # its results differ, and are stored under this name
            self.model += f"-after-{_name_of(options.pancreas_model)}"
        self.description = "Pancreas and tumours in CT. Research only."

    def segment(self, scan: Path, out: Path) -> None:
        """Segment one scan.

        Args:
            scan: NIfTI file.
            out: Folder to make.

        Raises:
            PancascadeError: There is no result.
        """
        result = self._service.segment_scan(scan)
        try:
            copytree(result, out)
        finally:
            self._service.remove(result.parent.name)


def add_labelling(app: "FastAPI", settings: ServerSettings, service: JobService) -> None:
    """Add the routes; ``app.state.labels`` is the service behind them.

    Args:
        app: Application behind the guard, which checks the token.
        settings: Settings of the server.
        service: Service of its jobs.

    Raises:
        PancascadeError: The studies cannot be read.
    """
    from pancascade.services.server.monai_label import MonaiLabel, TrainingOptions, monai_label_router

    model, options = settings.options.model[0], settings.options
    training = TrainingOptions(settings.train_with, model, options.device) if settings.train_with else None

    labels = MonaiLabel(
        settings.folder / FOLDER,
        JobSegmenter(service),
        studies=settings.studies,
        training=training,
        most_unpacked_bytes=settings.max_unpacked_bytes,
    )
    app.state.labels = labels
    service.when_locked.append(labels.open)
    service.every_minute.append(labels.sessions.remove_old)
    app.include_router(
        monai_label_router(app.state.labels, token=settings.token, most_upload_bytes=settings.max_upload_bytes)
    )


def _name_of(model: str) -> str:
    path = Path(model)
    return path.stem if path.suffix in (".safetensors", ".json") else path.name
