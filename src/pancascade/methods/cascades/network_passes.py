"""Forward passes of a network: with scaled input and output, or temporarily in evaluation mode."""

from collections.abc import Iterator
from contextlib import contextmanager

from torch import Tensor, nn
from torch.nn import functional


@contextmanager
def evaluating(network: nn.Module) -> Iterator[None]:
    """Set evaluation mode temporarily, so that a prediction does not change the normalisation statistics."""
    training = network.training
    network.eval()
    try:
        yield
    finally:
        network.train(training)


def run_scaled(network: nn.Module, images: Tensor, scale: float) -> Tensor:
    """Return logits of a network on scaled images, resized to the images' size.

    Args:
        network: Maps (B, C, h, w) to logits (B, N, h, w); the last of several maps is used.
        images: (B, C, H, W).
        scale: Factor; the scaled sides are rounded to multiples of 16, as U-Nets need.

    Returns:
        (B, N, H, W), float32.
    """
    return run_scaled_maps(network, images, scale)[-1]


def run_scaled_maps(network: nn.Module, images: Tensor, scale: float) -> tuple[Tensor, ...]:
    """Return all maps of a network as in `run_scaled`; the last one is the prediction."""
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
