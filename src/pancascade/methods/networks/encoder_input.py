"""Images as encoders with published weights take them: grey to every input channel, normalised as in ImageNet."""

from typing import Literal, get_args

from torch import Tensor

Normalisation = Literal["none", "imagenet"]

IMAGENET_MEAN, IMAGENET_DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Of red, green and blue in ImageNet; torchvision's published weights were learnt from images normalised by them."""


def require_normalisation(name: str) -> None:
    """Refuse a name that is no `Normalisation`.

    Raises:
        ValueError: It is none.
    """
    if name not in get_args(Normalisation):
        raise ValueError(f"normalisation must be 'none' or 'imagenet', got {name!r}")


def encoder_input(images: Tensor, *, channels: int, normalisation: Normalisation) -> Tensor:
    """What the first layer of an encoder sees.

    Args:
        images: (B, C, H, W), or slices (B, 1, H, W), which every input channel sees.
        channels: C, of the encoder.
        normalisation: ``imagenet`` as `normalised_for_imagenet`; ``none`` leaves images as they are.

    Returns:
        (B, C, H, W).
    """
    if images.shape[1] == 1:
        images = images.expand(-1, channels, -1, -1)
    return normalised_for_imagenet(images) if normalisation == "imagenet" else images


def normalised_for_imagenet(images: Tensor) -> Tensor:
    """(x − mean) / sd of each channel, as the published weights expect.

    Args:
        images: (B, C, H, W) in [0, 1]; three channels are red, green and blue, any other number takes the channels'
            mean constants.
    """
    mean, deviation = images.new_tensor(IMAGENET_MEAN), images.new_tensor(IMAGENET_DEVIATION)
    if images.shape[1] != len(mean):
        mean, deviation = mean.mean(), deviation.mean()
    return (images - mean.view(-1, 1, 1)) / deviation.view(-1, 1, 1)
