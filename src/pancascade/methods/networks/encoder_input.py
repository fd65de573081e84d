"""Image preparation for encoders with published weights: grey in every channel, ImageNet normalisation."""

from typing import Literal, get_args

from torch import Tensor

Normalisation = Literal["none", "imagenet"]

IMAGENET_MEAN, IMAGENET_DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Of red, green and blue in ImageNet; torchvision's published weights were trained on images normalised by them."""


def require_normalisation(name: str) -> None:
    """Check that a name is a `Normalisation`.

    Raises:
        ValueError: The name is unknown.
    """
    if name not in get_args(Normalisation):
        raise ValueError(f"normalisation must be 'none' or 'imagenet', got {name!r}")


def encoder_input(images: Tensor, *, channels: int, normalisation: Normalisation) -> Tensor:
    """Return the input of an encoder's first layer.

    Args:
        images: (B, C, H, W), or slices (B, 1, H, W), copied to every input channel.
        channels: C, input channels of the encoder.
        normalisation: ``imagenet`` as `normalised_for_imagenet`; ``none`` leaves images unchanged.

    Returns:
        (B, C, H, W).
    """
    if images.shape[1] == 1:
        images = images.expand(-1, channels, -1, -1)
    return normalised_for_imagenet(images) if normalisation == "imagenet" else images


def normalised_for_imagenet(images: Tensor) -> Tensor:
    """Return (x − mean) / sd of each channel, as the published weights expect.

    Args:
        images: (B, C, H, W) in [0, 1]; three channels are red, green and blue. Any other number uses the mean constants
            of the three.
    """
    mean, deviation = images.new_tensor(IMAGENET_MEAN), images.new_tensor(IMAGENET_DEVIATION)
    if images.shape[1] != len(mean):
        mean, deviation = mean.mean(), deviation.mean()
    return (images - mean.view(-1, 1, 1)) / deviation.view(-1, 1, 1)
