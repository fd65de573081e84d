"""The processes that train one cascade together, and their communication."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from lightning_fabric import Fabric
from torch import Tensor, distributed, nn

from pancascade.errors import PancascadeError, RecipeError
from pancascade.training.recipe import Recipe

Reported = TypeVar("Reported")


class ProcessLostError(PancascadeError):
    """A process of the training has ended, so the others cannot continue."""


@dataclass(frozen=True)
class Share:
    """The images of a batch for one process: from ``start`` up to, not including, ``stop``, of ``count``."""

    start: int
    stop: int
    count: int

    @property
    def images(self) -> slice:
        """Index of the images in the batch."""
        return slice(self.start, self.stop)

    @property
    def is_empty(self) -> bool:
        """Whether other processes do the whole batch."""
        return self.start == self.stop

    @property
    def weight(self) -> float:
        """Weight of its loss in the mean over the batch's images."""
        return (self.stop - self.start) / self.count


def divides_rounds(recipe: Recipe, size: int) -> bool:
    """Return whether processes take whole batches of a round in turn; otherwise they share each batch.

    Args:
        recipe: Recipe of the run.
        size: Number of processes.

    Raises:
        RecipeError: Neither division is possible.
    """
    if recipe.accumulate % size == 0:
        return True
    if recipe.batch_size < size:
        raise RecipeError(
            f"batch_size {recipe.batch_size}, accumulate {recipe.accumulate}: a step cannot be divided among {size} "
            f"processes. Make batch_size {size} or more, accumulate a multiple of {size}, or take fewer --devices."
        )
    return False


class ProcessGroup:
    """The processes of a training; a single process needs no communication.

    Each process adds its part: sums over all processes equal the result of a single process.

    Args:
        fabric: Fabric of a connected group, or of one process.
        rounds: See `divides_rounds`.
    """

    def __init__(self, fabric: Fabric, *, rounds: bool = True) -> None:
        self.size = fabric.world_size
        self.rank = fabric.global_rank
        self.device = fabric.device
        self.rounds = rounds

    @property
    def alone(self) -> bool:
        """Whether there is only one process."""
        return self.size == 1

    @property
    def leads(self) -> bool:
        """Whether this is the process that validates, writes and logs."""
        return self.rank == 0

    def share(self, count: int, *, position: int) -> Share:
        """Return this process's share of a batch.

        Args:
            count: Number of images of the batch.
            position: Index of the batch in its round of accumulation, from 0.
        """
        if self.alone:
            return Share(0, count, count)
        if self.rounds:
            return Share(0, count if position % self.size == self.rank else 0, count)
        return Share(self.rank * count // self.size, (self.rank + 1) * count // self.size, count)

    def sum(self, tensor: Tensor) -> Tensor:
        """Sum a tensor over the processes, in place."""
        with _all_there():
            distributed.all_reduce(tensor)
        return tensor

    def largest(self, values: Sequence[int]) -> list[int]:
        """Return the maximum over the processes of each number."""
        reported = torch.tensor(values, dtype=torch.int64, device=self.device)
        with _all_there():
            distributed.all_reduce(reported, distributed.ReduceOp.MAX)
        return [int(value) for value in reported.tolist()]

    def gathered(self, reported: Reported) -> list[Reported]:
        """Return the objects of all processes, in their order; for small objects only."""
        if self.alone:
            return [reported]
        found: list[Any] = [None] * self.size
        with _all_there():
            distributed.all_gather_object(found, reported)
        return found

    def sum_gradients(self, parameters: Iterable[nn.Parameter]) -> bool:
        """Replace gradients by their sums over all processes; return whether there is any gradient.

        A parameter without gradient in any process keeps none, so its optimiser does not change it.
        """
        chosen = [parameter for parameter in parameters if parameter.requires_grad or parameter.grad is not None]
        if self.alone:
            return any(parameter.grad is not None for parameter in chosen)
        reached = self.largest([int(parameter.grad is not None) for parameter in chosen])
        summed = [parameter for parameter, anywhere in zip(chosen, reached, strict=True) if anywhere]
        if not summed:
            return False
        parts = [torch.zeros_like(one) if one.grad is None else one.grad for one in summed]
        flat = self.sum(torch.cat([part.flatten() for part in parts]))
        for parameter, gradient in zip(summed, torch.split(flat, [part.numel() for part in parts]), strict=True):
            parameter.grad = gradient.view_as(parameter).clone(memory_format=torch.preserve_format)
        return True

    def spread(self, *modules: nn.Module | None) -> None:
        """Copy the weights and statistics of the first process to all."""
        if self.alone:
            return
        for module in modules:
            for tensor in () if module is None else module.state_dict().values():
                with _all_there():
                    held = tensor.contiguous()
                    distributed.broadcast(held, src=0)
                    tensor.copy_(held)

    @contextmanager
    def all_or_none(self) -> Iterator[None]:
        """If a block fails in one process, let it fail in all of them, with the same sentence.

        Raises:
            PancascadeError: The block failed in a process.
        """
        fault: PancascadeError | None = None
        try:
            yield
        except PancascadeError as error:
            fault = error
        if self.alone:
            if fault is not None:
                raise fault
            return
        first = next((each for each in self.gathered(None if fault is None else str(fault)) if each is not None), None)
        if first is not None:
            raise fault if fault is not None else PancascadeError(first)


@contextmanager
def _all_there() -> Iterator[None]:
    try:
        yield
    except RuntimeError as error:
        raise ProcessLostError(
            "Another process of the training ended, or cannot be reached. Continue from the last epoch with --resume."
        ) from error
