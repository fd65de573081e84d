"""One pass of a network over images: scaled on the way in and out, in evaluation mode for a while."""

from collections.abc import Iterator
from contextlib import contextmanager

from torch import Tensor, nn
from torch.nn import functional


@contextmanager
def evaluating(network: nn.Module) -> Iterator[None]:
    """In evaluation mode for a while: a look at what a network would find teaches its normalisations nothing."""
    training = network.training
    network.eval()
    try:
        yield
    finally:
        network.train(training)


def run_scaled(network: nn.Module, images: Tensor, scale: float) -> Tensor:
    """Logits of a network that sees the images scaled, back at the images' size.

    Args:
        network: Maps (B, C, h, w) to logits (B, N, h, w); of several maps the last is taken.
        images: (B, C, H, W).
        scale: Factor; the scaled sides are the nearest multiples of 16, which U-Nets take.

    Returns:
        (B, N, H, W), float32.
    """
    return run_scaled_maps(network, images, scale)[-1]


def run_scaled_maps(network: nn.Module, images: Tensor, scale: float) -> tuple[Tensor, ...]:
    """As `run_scaled`, of a network that may give several maps: all of them, the answer last."""
    if scale == 1.0:
        return tuple(maps.float() for maps in _as_tuple(network(images)))
    size = tuple(max(16, 16 * round(side * scale / 16)) for side in images.shape[-2:])
    small = functional.interpolate(images, size=size, mode="bilinear", antialias=True)
    return tuple(
        functional.interpolate(maps.float(), size=images.shape[-2:], mode="bilinear")
        for maps in _as_tuple(network(small))
    )


def _as_tuple(answer: Tensor | tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    return answer if isinstance(answer, tuple) else (answer,)
