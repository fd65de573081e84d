"""Can the models be used? Asked before a long search for scans, a port or a process depends on it."""

from pancascade.errors import PancascadeError
from pancascade.execution import LocalProcesses
from pancascade.inference.models.known_models import is_own
from pancascade.segmentation.batch.batch_options import SegmentOptions


def require_models(options: SegmentOptions) -> None:
    """Pass only if the models can be loaded; they are not kept. Shipped ones on the processor always can.

    Args:
        options: Of the run.

    Raises:
        PancascadeError: A model, its weights, the device or the backend cannot be used.
    """
    if not _may_fail(options):
        return
    from pancascade.inference.runners.loading import load_models

    load_models(options.model, options.device, backend=options.backend, pancreas_model=options.pancreas_model)


def require_models_elsewhere(options: SegmentOptions) -> None:
    """The same in a process of its own, for a service that does without torch.

    Args:
        options: Of the service.

    Raises:
        PancascadeError: As `require_models`.
    """
    if not _may_fail(options):
        return
    for loaded in LocalProcesses(1).run(require_models, [options]):
        if loaded.lost is not None:
            raise PancascadeError(f"The model cannot be loaded: {loaded.lost}. Give a smaller one.")


def _may_fail(options: SegmentOptions) -> bool:
    plain = options.pancreas_model is None and options.device == "cpu" and options.backend == "auto"
    return not plain or any(is_own(name) for name in options.model)
