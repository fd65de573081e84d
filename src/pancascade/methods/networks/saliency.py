"""Saliency transformation: the probabilities of stage 1 as weights on the image of stage 2."""

from torch import Tensor, nn


class SaliencyTransformation(nn.Module):
    """S = Conv5×5(ReLU(Conv3×3(P))), size-preserving; initially S ≡ 1.

    The 5×5 weights start at 0 and its bias at 1, so that stage 2 starts with the unchanged image. The gradient to
    stage 1 is zero until the first update of the module. Parameters 1→1: 36; 3→3: 312.

    Args:
        channels: Number of probability maps and of weight maps.

    Source: Qiu et al. 2024, §3.1.2, after Yu et al. 2018 (RSTN).
    """

    def __init__(self, channels: int = 1) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, channels, 3, padding=1)
        self.relu = nn.ReLU()
        self.second = nn.Conv2d(channels, channels, 5, padding=2)
        nn.init.xavier_uniform_(self.first.weight)
        nn.init.ones_(self.first.bias)  # type: ignore[arg-type]
        nn.init.zeros_(self.second.weight)
        nn.init.ones_(self.second.bias)  # type: ignore[arg-type]

    def forward(self, probabilities: Tensor) -> Tensor:
        """Return weights (B, C, H, W) from the probabilities (B, C, H, W) of stage 1."""
        return self.second(self.relu(self.first(probabilities)))
