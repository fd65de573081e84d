"""Batch normalisation across processes that train together, equal to that of a single process.

If processes share each batch, they normalise by the statistics of the whole batch. torch's SyncBatchNorm does this only
on CUDA, and waits forever if one process has no image for a network that another one runs.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.modules.batchnorm import _BatchNorm

from pancascade.training.group import ProcessGroup

_IDLE = -1
_LENGTH = 2**24
"""Larger than twice the channels of any layer."""


@dataclass(frozen=True)
class _Seen:
    """Statistics of one call of a layer, for its running statistics.

    Attributes:
        place: Objective of the round, and batch of that objective.
        layer: Index of the layer.
        mean: (C,) mean.
        variance: (C,) unbiased variance.
    """

    place: tuple[int, int]
    layer: int
    mean: Tensor
    variance: Tensor


class SharedNorms:
    """Batch normalisation of a cascade trained by several processes; replaces the `forward` of its layers.

    Args:
        cascade: Cascade whose layers' `forward` are replaced; names and tensors are unchanged.
        group: The training processes.
    """

    def __init__(self, cascade: nn.Module, group: ProcessGroup) -> None:
        self._group = group
        self._layers = [module for module in cascade.modules() if isinstance(module, _BatchNorm)]
        self._round = 0
        self._place = (0, 0)
        self._seen: list[_Seen] = []
        normalise = self._normalise_own if group.rounds else self._normalise_shared
        for number, layer in enumerate(self._layers):
            layer.forward = partial(self._forward, number, normalise)  # type: ignore[method-assign]

    def begin(self, place: tuple[int, int]) -> None:
        """Set the next objective of a round, and its batch."""
        self._place = place

    def finish(self) -> None:
        """Take part in the normalisations of others, forward or backward, until all have finished."""
        if not self._group.rounds:
            for _ in self._rounds(None):
                pass

    def finish_round(self) -> None:
        """If processes took batches in turn, update the running statistics by all batches, in their order."""
        if not self._group.rounds:
            return
        reported = [
            (one.place, order, one.layer, one.mean.cpu(), one.variance.cpu()) for order, one in enumerate(self._seen)
        ]
        self._seen = []
        everybody = [each for part in self._group.gathered(reported) for each in part]
        for _, _, number, mean, variance in sorted(everybody, key=lambda one: one[:2]):
            self._learn(number, mean, variance)

    def _forward(self, number: int, normalise: Any, x: Tensor) -> Tensor:
        layer = self._layers[number]
        if not layer.training:
            mean, variance = layer.running_mean, layer.running_var
            return functional.batch_norm(x, mean, variance, layer.weight, layer.bias, training=False, eps=layer.eps)
        return normalise(number, layer, x)

    def _normalise_own(self, number: int, layer: _BatchNorm, x: Tensor) -> Tensor:
        """Normalise by the statistics of these images, which are a whole batch."""
        mean, variance = torch.zeros_like(layer.running_mean), torch.ones_like(layer.running_var)  # type: ignore[arg-type]
        found = functional.batch_norm(
            x, mean, variance, layer.weight, layer.bias, training=True, momentum=1.0, eps=layer.eps
        )
        self._seen.append(_Seen(self._place, number, mean, variance))
        return found

    def _normalise_shared(self, number: int, layer: _BatchNorm, x: Tensor) -> Tensor:
        """Normalise by the statistics of all processes' images."""
        found: Tensor = _Normalise.apply(x, layer.weight, layer.bias, layer.eps, self, number)  # type: ignore[no-untyped-call]
        return found

    def _learn(self, number: int, mean: Tensor, variance: Tensor) -> None:
        layer = self._layers[number]
        with torch.no_grad():
            for running, value in ((layer.running_mean, mean), (layer.running_var, variance)):
                if running is not None and layer.momentum is not None:
                    running.mul_(1 - layer.momentum).add_(value.to(running), alpha=layer.momentum)
            if layer.num_batches_tracked is not None:
                layer.num_batches_tracked.add_(1)

    # ── rounds: every process takes part in each, also without own images ──

    def sum_forward(self, number: int, sums: Tensor) -> tuple[Tensor, int]:
        """Return count, sum and sum of squares (1 + 2C,) over all processes' images, and the number of the round."""
        for total in self._rounds((len(self._layers) - number, sums)):
            return total, self._round
        raise AssertionError("a round that this process takes part in ends with its sums")

    def sum_backward(self, turn: int, sums: Tensor) -> Tensor:
        """Return the sums (2C,) over all processes of a layer's gradients, in the backward pass of a round."""
        for total in self._rounds((2 * len(self._layers) + turn, sums)):
            return total
        raise AssertionError("a round that this process takes part in ends with its sums")

    def _rounds(self, wanted: tuple[int, Tensor] | None) -> Iterator[Tensor]:
        """Yield the sums of the wanted layer once; contribute zeros to earlier rounds of other layers.

        In the forward pass the first layer of the cascade has priority, in the backward pass the last round.
        """
        own = _IDLE if wanted is None else wanted[0] * _LENGTH + len(wanted[1])
        while (chosen := self._group.largest([own])[0]) != _IDLE:
            mine = chosen == own and wanted is not None
            sums = wanted[1] if mine and wanted is not None else torch.zeros(chosen % _LENGTH, dtype=torch.float64)
            total = self._group.sum(sums.to(self._group.device, copy=True))
            key = chosen // _LENGTH
            if key <= len(self._layers):
                self._round += 1
                self._learn_of(len(self._layers) - key, total)
            if mine:
                yield total
                return

    def _learn_of(self, number: int, total: Tensor) -> None:
        count, mean, variance = statistics(total)
        self._learn(number, mean, variance * count / (count - 1).clamp(min=1))


def statistics(total: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return count, mean and biased variance (C,) from count, sum and sum of squares (1 + 2C,)."""
    count = total[0]
    mean, square = (total[1:] / count).chunk(2)
    return count, mean, (square - mean * mean).clamp(min=0)


class _Normalise(torch.autograd.Function):
    """y = w (x − μ) / √(σ² + ε) + b, μ and σ² over the images of all processes."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, eps: float, norms: SharedNorms, number: int
    ) -> Tensor:
        others = [axis for axis in range(x.ndim) if axis != 1]
        seen = x.to(torch.promote_types(x.dtype, torch.float32))
        variance, mean = (one.double() for one in torch.var_mean(seen, dim=others, correction=0))
        count = x.numel() // x.shape[1]
        sums = torch.cat([mean.new_tensor([count]), count * mean, count * (variance + mean * mean)])
        total, turn = norms.sum_forward(number, sums)
        every, mean, variance = statistics(total)
        shape = [1, -1] + [1] * (x.ndim - 2)
        scale = torch.rsqrt(variance + eps).to(seen.dtype).view(shape)
        normalised = (seen - mean.to(seen.dtype).view(shape)) * scale
        ctx.save_for_backward(normalised, weight, scale)
        ctx.norms, ctx.turn, ctx.every, ctx.others = norms, turn, float(every), others
        return (normalised * weight.view(shape) + bias.view(shape)).to(x.dtype)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        normalised, weight, scale = ctx.saved_tensors
        given = gradients[0].to(normalised.dtype)
        by_bias, by_weight = given.sum(ctx.others), (given * normalised).sum(ctx.others)
        total = ctx.norms.sum_backward(ctx.turn, torch.cat([by_bias, by_weight]).double())
        mean, along = (part.to(scale.dtype).view(scale.shape) for part in (total / ctx.every).chunk(2))
        by_x = weight.view(scale.shape) * scale * (given - mean - normalised * along)
        return by_x.to(gradients[0].dtype), by_weight, by_bias, None, None, None
