"""Run a cascade of torch networks on arrays."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pancascade.imaging.volume import Box
from pancascade.inference.backends.openvino_networks import backend_name
from pancascade.inference.backends.precision import has_fast_bfloat16
from pancascade.inference.backends.runnable_cascade import Handover
from pancascade.labels import Label
from pancascade.methods.cascades import Cascade, Located, fast_layout


@dataclass(frozen=True, eq=False)
class TorchCascade:
    """See `pancascade.inference.backends.runnable_cascade.RunnableCascade`.

    Attributes:
        cascade: In evaluation mode, on the device.
        device: Where it runs.
        reduced: Whether torch may compute in bfloat16 if the processor is faster with it.
    """

    cascade: Cascade
    device: torch.device
    reduced: bool = True

    @property
    def labels(self) -> tuple[Label, ...]:
        """Segmented labels besides background, in channel order."""
        return self.cascade.labels

    @property
    def first_target(self) -> tuple[Label, ...]:
        """Labels whose union is the target of stage 1."""
        return self.cascade.first_target

    @property
    def locates(self) -> bool:
        """Whether there is a stage 1 that can run alone."""
        return self.cascade.locates

    @property
    def first_map_is_mask(self) -> bool:
        """Whether stage 1's map covers the organ."""
        return self.cascade.first_map_is_mask

    @property
    def runs_on(self) -> str:
        """See `RunnableCascade.runs_on`."""
        return backend_name(self.cascade, self.device)

    def exact(self) -> "TorchCascade":
        """See `RunnableCascade.exact`."""
        return replace(self, reduced=False)

    def locate(self, images: NDArray[np.float32]) -> Handover:
        """See `RunnableCascade.locate`."""
        with self._running():
            return _as_arrays(self.cascade.locate(self.shown(images)))

    def from_mask(self, images: NDArray[np.float32], probabilities: NDArray[np.float32]) -> Handover:
        """See `RunnableCascade.from_mask`."""
        with self._running():
            return _as_arrays(self.cascade.from_mask(self.shown(images), self._tensor(probabilities)))

    def update_rois(self, handover: Handover, probabilities: NDArray[np.floating[Any]]) -> Handover:
        """See `RunnableCascade.update_rois`."""
        with self._running():
            return _as_arrays(self.cascade.update_rois(self.located(handover), self._tensor(probabilities)))

    def replace_rois(self, handover: Handover, other: Handover) -> Handover:
        """See `RunnableCascade.replace_rois`."""
        return _as_arrays(self.cascade.replace_rois(self.located(handover), self.located(other)))

    def crop_to_rois(
        self, images: NDArray[np.float32], handover: Handover
    ) -> tuple[Box | None, NDArray[np.float32], Handover]:
        """See `RunnableCascade.crop_to_rois`."""
        with self._running():
            region, part, inside = self.cascade.crop_to_rois(self.shown(images), self.located(handover))
        return region, part.cpu().numpy(), _as_arrays(inside)

    def segment(self, images: NDArray[np.float32], handover: Handover) -> NDArray[np.float32]:
        """See `RunnableCascade.segment`."""
        with self._running():
            maps = self.cascade.segment(self.shown(images), self.located(handover))
        found: NDArray[np.float32] = maps.float().cpu().numpy()
        return found

    def shown(self, images: NDArray[np.float32]) -> Tensor:
        """Return images on the device, in the memory layout with which its networks are fastest."""
        return fast_layout(torch.from_numpy(np.ascontiguousarray(images)).to(self.device))

    def located(self, handover: Handover) -> Located:
        """Return the hand-over as the cascade's own `Located`."""
        probabilities = self._tensor(handover.probabilities)
        if isinstance(handover.details, Located):
            return replace(handover.details, probabilities=probabilities, boxes=handover.boxes)
        return Located(probabilities, handover.boxes)

    def _tensor(self, values: NDArray[Any]) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(values, np.float32)).to(self.device)

    @contextmanager
    def _running(self) -> Iterator[None]:
        """Run without gradient, and in bfloat16 if that is allowed and fast."""
        quick = self.reduced and has_fast_bfloat16(self.device)
        with torch.inference_mode(), torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=quick):
            yield


def _as_arrays(located: Located) -> Handover:
    """Return the hand-over as arrays; fields of a cascade's own subclass are kept for its stage 2."""
    details = None if type(located) is Located else located
    return Handover(located.probabilities.float().cpu().numpy(), tuple(located.boxes), details)
