"""One network on the whole image: the baselines "U" and "M" of the papers' tables."""

from collections.abc import Iterator, Sequence
from typing import Annotated, Literal, Self

import torch
from pydantic import Field, model_validator
from torch import Generator, Tensor

from pancascade.imaging.volume import Box
from pancascade.labels import Label
from pancascade.methods.cascades.class_probabilities import compose_classes, compose_two_classes
from pancascade.methods.cascades.loss_choice import known_loss
from pancascade.methods.cascades.network_passes import run_scaled, run_scaled_maps
from pancascade.methods.cascades.protocol import Cascade, Located, is_any
from pancascade.methods.losses import second_stage_loss, segmentation_loss
from pancascade.methods.networks import MapNetwork, NetworkSettings
from pancascade.settings import Settings


class SingleStageSettings(Settings):
    """Settings of a single network.

    Attributes:
        network: The network; one channel per label. Of several maps the last is the final prediction.
        labels: ``pancreas`` only, ``tumour`` only, or both as nested targets (organ with tumour, tumour).
        scale: Factor by which the canvas is scaled for the network.
        loss: Dice, binary cross-entropy, both added, or ℓ_FD of L-SNet; or ``structure``, Eq. 13 of Qiu et al. 2024
            over all maps of a focusing network, which then has a single label.
    """

    kind: Literal["single_stage"] = "single_stage"
    network: MapNetwork = NetworkSettings(name="unet")
    labels: tuple[Literal["pancreas", "tumour"], ...] = Field(default=("pancreas",), min_length=1)
    scale: float = Field(default=1.0, gt=0, le=4)
    loss: Annotated[str, known_loss("structure")] = "dice_bce"

    @model_validator(mode="after")
    def _structure_is_for_networks_that_focus(self) -> Self:
        if self.loss == "structure" and (len(self.labels) > 1 or not self.network.gives_several_maps):
            raise ValueError("loss: structure is for focusing_net or focusing_resnet, and a single label")
        return self


class OneNetwork(Cascade):
    """A cascade with one stage on the whole image; a subclass defines its losses.

    Attributes:
        targets: Labels with their own logit map, in channel order.
    """

    dimensions = 2
    locates = False
    phases = ("train",)

    def __init__(self, network: NetworkSettings, labels: Sequence[str], *, scale: float = 1.0) -> None:
        super().__init__()
        self.targets = tuple(sorted(Label[name.upper()] for name in labels))
        self.labels = tuple(Label)[1 : max(self.targets) + 1]
        self.scale = scale
        more = {"out_channels": len(self.targets)} if len(self.targets) > 1 else {}
        self.network = network.build(**more)

    def logits(self, images: Tensor) -> Tensor:
        """Return logits (B, len(targets), H, W), float32, of images (B, 1, H, W)."""
        return run_scaled(self.network, images, self.scale)

    def locate(self, images: Tensor) -> Located:
        """Return the whole image as box, with probability 1."""
        whole = Box.whole(tuple(images.shape[2:]))
        return Located(torch.ones_like(images[:, :1]), tuple((whole,) for _ in range(len(images))))

    def update_rois(self, located: Located, probabilities: Tensor) -> Located:
        """Return the argument: there is no hand-over to update."""
        return located

    def segment(self, images: Tensor, located: Located) -> Tensor:
        """Segment the whole image; see `Cascade.segment`. The hand-over is unused."""
        probabilities = torch.sigmoid(self.logits(images))
        if self.targets == (Label.PANCREAS,):
            return compose_two_classes(probabilities)
        tumour = probabilities[:, -1:]
        organ = probabilities[:, :1] if len(self.targets) > 1 else torch.zeros_like(tumour)
        return compose_classes(organ, tumour)


class SingleStage(OneNetwork):
    """One network, trained with a plain loss."""

    export_chain = (
        "network: the canvas, scaled by scale to the input's size (bilinear, antialiased); resize its last logits "
        "back to the canvas (bilinear); probability = sigmoid(logits).",
    )

    def __init__(self, settings: SingleStageSettings) -> None:
        super().__init__(settings.network, settings.labels, scale=settings.scale)
        self.settings = settings

    def losses(
        self, images: Tensor, labels: Tensor, *, phase: str, generator: Generator
    ) -> Iterator[dict[str, Tensor]]:
        """Yield the loss of each target; the organ's target includes the tumour."""
        if self.settings.loss == "structure":
            maps = run_scaled_maps(self.network, images, self.scale)
            yield {self.targets[0].title: second_stage_loss(maps[0], maps[1:], self._target(labels, self.targets[0]))}
            return
        logits = self.logits(images)
        found: dict[str, Tensor] = {}
        for channel, label in enumerate(self.targets):
            one = logits[:, channel : channel + 1]
            found[label.title] = segmentation_loss(one, self._target(labels, label), kind=self.settings.loss)
        yield found

    def _target(self, labels: Tensor, label: Label) -> Tensor:
        return is_any(labels, self.targets if label == Label.PANCREAS else (label,))
