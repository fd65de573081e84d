"""Channels of a cascade's networks against those of the canvas."""

from pancascade.imaging.preprocessing import CanvasOrGrid, VolumeGrid
from pancascade.methods.cascades.build import CascadeSettings
from pancascade.methods.networks import NetworkSettings


def require_channels(cascade: CascadeSettings, canvas: CanvasOrGrid) -> None:
    """Check that every network of a cascade takes as many channels as the canvas shows.

    Raises:
        ValueError: A network does not.
    """
    channels = 1 if isinstance(canvas, VolumeGrid) else canvas.channels
    for role, network in cascade:
        if isinstance(network, NetworkSettings) and not network.takes(channels):
            raise ValueError(
                f"cascade.{role}: {network.name} does not take {channels} channels, which the canvas shows; "
                f"set its options: {{in_channels: {channels}}}, or canvas.neighbours"
            )
