"""VGG-16 in torchvision's parameter layout, for its published weights, with the classifier as convolutions."""

from collections.abc import Sequence
from pathlib import Path

from torch import Tensor, nn

from pancascade.methods.networks.encoder_input import Normalisation, encoder_input, require_normalisation
from pancascade.methods.networks.pretrained import fit_encoder, read_tensors

CONVOLUTIONS = (2, 2, 3, 3, 3)
"""Number of convolutions of the five levels of VGG-16 (configuration D)."""


class VggEncoder(nn.Module):
    """VGG-16 with a convolutional classifier: 7×7, then 1×1, without the last layer.

    Parameters with the defaults: 134,260,544; the published 138,357,544 include the last layer of the classifier. Names
    and shapes are torchvision's (``features.0.weight`` … ``classifier.3.bias``), except that the classifier's matrices
    are kernels.

    Args:
        in_channels: 3 as published, or another number.
        widths: Channels of the five levels.
        hidden: Channels of the classifier.
        border: Width of zeros around the image. With the 100 of FCN-8s, images of any size give at least one position.
        normalisation: ``imagenet`` shifts and scales images as the published weights expect.

    Source: Simonyan and Zisserman 2015, Table 1, D; Long et al. 2015, §4.
    """

    def __init__(
        self,
        *,
        in_channels: int = 3,
        widths: Sequence[int] = (64, 128, 256, 512, 512),
        hidden: int = 4096,
        border: int = 100,
        normalisation: Normalisation = "none",
    ) -> None:
        super().__init__()
        require_normalisation(normalisation)
        self.in_channels, self.normalisation = in_channels, normalisation
        self.channels = (widths[2], widths[3], hidden)
        layers: list[nn.Module] = []
        self.pools: list[int] = []
        inputs = in_channels
        for width, count in zip(widths, CONVOLUTIONS, strict=True):
            for _ in range(count):
                layers += [nn.Conv2d(inputs, width, 3, padding=1 if layers else border), nn.ReLU(inplace=True)]
                inputs = width
            self.pools.append(len(layers))
            layers.append(nn.MaxPool2d(2, stride=2, ceil_mode=True))
        self.features = nn.Sequential(*layers)
        self.classifier = nn.Sequential(
            nn.Conv2d(inputs, hidden, 7),
            nn.ReLU(inplace=True),
            nn.Dropout(),
            nn.Conv2d(hidden, hidden, 1),
            nn.ReLU(inplace=True),
            nn.Dropout(),
        )
        for module in self.modules():
            if isinstance(module, nn.Conv2d) and module.bias is not None:
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
                nn.init.zeros_(module.bias)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return features at strides 8, 16, 32 of images (B, in_channels, H, W), or slices copied to all channels."""
        images = encoder_input(images, channels=self.in_channels, normalisation=self.normalisation)
        eighth = self.features[: self.pools[2] + 1](images)
        sixteenth = self.features[self.pools[2] + 1 : self.pools[3] + 1](eighth)
        return eighth, sixteenth, self.classifier(self.features[self.pools[3] + 1 :](sixteenth))


def load_vgg(encoder: VggEncoder, path: Path) -> None:
    """Load torchvision's published weights of VGG-16; the last layer of its classifier is left out.

    No code in the file is run. The encoder is unchanged if the weights do not fit.

    Args:
        encoder: VGG-16.
        path: ``*.safetensors``, or a state_dict written by ``torch.save``.

    Raises:
        CheckpointError: The file is missing, damaged, no state_dict, or the weights of another network.
    """
    weights = {name: tensor for name, tensor in read_tensors(path).items() if not name.startswith("classifier.6.")}
    expected = encoder.state_dict()
    for name in ("classifier.0.weight", "classifier.3.weight"):
        if name in weights and weights[name].numel() == expected[name].numel():
            weights[name] = weights[name].reshape(expected[name].shape)
    published = "that torchvision publishes for vgg16"
    fit_encoder(encoder, weights, first="features.0.weight", path=path, published=published)
