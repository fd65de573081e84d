"""The real work with a cascade that knows the phantom's organ by its Hounsfield units, in the worker's process."""

from unittest.mock import patch

from abdomen_phantom import HounsfieldCascade, described

from pancascade.services.server.scan_work import Outcome, ScanTask, segment_upload


def work(task: ScanTask) -> Outcome:
    with (
        patch("pancascade.inference.runners.loading.has_graphs", lambda _: False),
        patch(
            "pancascade.inference.runners.torch_runners.load_checkpoint", lambda _: (HounsfieldCascade(), described())
        ),
    ):
        return segment_upload(task)
