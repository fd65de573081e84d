"""Losses of a batch, which several processes may share."""

from collections.abc import Mapping

import torch
from torch import Tensor

from pancascade.errors import PancascadeError
from pancascade.training.run import PendingBatch, Run


class DivergedError(PancascadeError):
    """A loss or weight is no longer finite."""


def next_losses(run: Run, batch: PendingBatch) -> dict[str, Tensor] | None:
    """Return the losses of the next objective for a process's share of a batch; None if there is none.

    Every process makes the random draws for all images of the batch, in their order. So each image gets the same draws
    as in a single process, and later draws are equal in all processes.
    """
    if run.norms is None:
        return None if batch.objectives is None else next(batch.objectives, None)
    run.norms.begin((batch.asked, len(run.pending)))
    _pass_over(run, batch, batch.share.start)
    losses = None if batch.objectives is None else next(batch.objectives, None)
    _pass_over(run, batch, batch.share.count - batch.share.stop)
    batch.asked += 1
    run.norms.finish()
    return losses


def _pass_over(run: Run, batch: PendingBatch, count: int) -> None:
    if not run.cascade.draws_by_content:
        phase = run.recipe.phase_of(run.epoch)
        run.cascade.pass_over(count, phase=phase, objective=batch.asked, generator=batch.generator)


def require_finite(run: Run, batch: PendingBatch, losses: Mapping[str, Tensor] | None, total: Tensor | None) -> bool:
    """Check that all losses are finite; return whether any process has losses.

    Raises:
        DivergedError: A loss of any process is not finite.
    """
    fault = None
    if losses is not None and total is not None and not bool(torch.isfinite(total)):
        values = ", ".join(f"{name} {float(value.detach()):g}" for name, value in losses.items())
        fault = (
            f"Loss is not finite in phase {run.recipe.phase_of(run.epoch)}, epoch {run.epoch + 1}, slices "
            f"{', '.join(batch.names)} ({values}). Lower the learning rate, or resume from the last checkpoint."
        )
    anywhere, failed = losses is not None, fault is not None
    if not run.group.alone:
        anywhere, failed = (bool(flag) for flag in run.group.largest([anywhere, failed]))
    if failed:
        raise DivergedError(next(each for each in run.group.gathered(fault) if each is not None))
    return anywhere
