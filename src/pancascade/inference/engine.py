"""Running a 2-D cascade through a volume, slice by slice in batches."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor

from pancascade.cascades import Cascade, Located, fast_layout
from pancascade.inference.finding import FAINT, Finding
from pancascade.postprocessing import main_bodies
from pancascade.preprocessing import Canvas, Placement, find_placement
from pancascade.preprocessing.drawing import draw, take_off
from pancascade.volume import Box, Volume

Progress = Callable[[str, int, int], None]
"""Called with what is being done, how many slices are done, and how many there are."""

HandOver = Callable[[slice, Placement | None, Located], Located]
"""Sees, and may change, what stage 1 hands to stage 2: slices, their place on the canvas (None in 3-D), hand-over."""

BATCH_SLICES = 8

SMOOTHING_MM = 2.0
"""Standard deviation of the averaging along the body of both stages' probabilities, chosen on validation patients."""


@dataclass(frozen=True)
class CanvasProbabilities:
    """Probabilities of a volume's slices, still on their canvas: a tenth of the memory of the scan's own grid.

    Attributes:
        maps: (K, C, H, W) float16, background first.
        placement: Where the scan's slices lie on the canvas.
    """

    maps: Tensor
    placement: Placement

    def on_scan(self, first: int, last: int) -> NDArray[np.float16]:
        """Foreground probabilities of slices first…last−1 on the scan's pixels, (C − 1, I, J, last − first)."""
        native = torch.cat(
            [take_off(self.maps[k : k + 1, 1:].float(), self.placement).half() for k in range(first, last)]
        )
        return native.permute(1, 3, 2, 0).numpy()

    def finding(self, at: Box) -> Finding:
        """What the maps show; the slices are those of a box of the scan."""
        busy = np.flatnonzero((self.maps[:, 1:].amax(dim=(1, 2, 3)) >= FAINT).numpy())
        if busy.size == 0:
            return Finding.nothing()
        first, last = int(busy[0]), int(busy[-1]) + 1
        part = Box((*at.start[:2], at.start[2] + first), (*at.stop[:2], at.start[2] + last))
        return Finding.of(self.on_scan(first, last), part)


@dataclass(frozen=True)
class SliceEngine:
    """A 2-D cascade on a device.

    Attributes:
        cascade: In evaluation mode.
        canvas: How slices reach it.
        device: Where it runs.
        consistent: Whether stage 1 is made consistent along the body before stage 2.
        trained_on: Whom its weights have learned from, as their checkpoint tells.
    """

    cascade: Cascade
    canvas: Canvas
    device: torch.device
    consistent: bool = True
    trained_on: tuple[dict[str, Any], ...] = ()

    @property
    def grows(self) -> bool:
        """Whether the canvas grows for larger slices."""
        return self.canvas.larger_slices == "grow"

    def find(
        self,
        volume: Volume,
        *,
        at: Box,
        belief: NDArray[np.float32] | None = None,
        progress: Progress | None = None,
        hand_over: HandOver | None = None,
    ) -> Finding:
        """What the cascade finds in a part of the scan; arguments as for `run`.

        Args:
            volume: The part, upright.
            at: Where in the scan the part lies.
            belief: See `run`.
            progress: See `run`.
            hand_over: See `run`.
        """
        return self.run(volume, belief=belief, progress=progress, hand_over=hand_over).finding(at)

    @torch.inference_mode()
    def run(
        self,
        volume: Volume,
        *,
        belief: NDArray[np.float32] | None = None,
        progress: Progress | None = None,
        hand_over: HandOver | None = None,
    ) -> CanvasProbabilities:
        """Locate in all slices, make that consistent along the body, then look closely.

        Args:
            volume: Hounsfield units, oriented LPS.
            belief: In place of stage 1's, probability of the organ, of the volume's shape.
            progress: Called after each batch.
            hand_over: Called between the stages, for each batch.
        """
        column_mm, row_mm, slice_mm = volume.spacing_mm
        count = volume.shape[2]
        slices = volume.voxels.transpose(2, 1, 0)
        placement = find_placement(slices, spacing_mm=(row_mm, column_mm), canvas=self.canvas, grow=self.grows)
        located = []
        for part, images in self._batches(volume, placement):
            with self._autocast():
                located.append(_stored(self._locate(images, _on_canvas(belief, part, placement))))
            if progress is not None:
                progress("locate", part.stop, count)
        consistent = self._make_consistent([found.probabilities for found in located], slice_mm)
        maps = torch.zeros((count, 1 + len(self.cascade.labels), *placement.canvas), dtype=torch.float16)
        maps[:, 0] = 1
        for found, (part, images) in zip(located, self._batches(volume, placement), strict=True):
            with self._autocast():
                smooth = consistent[part].to(self.device).float()
                handed_over = self.cascade.narrow(found, smooth)
                if hand_over is not None:
                    handed_over = hand_over(part, placement, handed_over)
                if any(handed_over.boxes):
                    maps[part] = self.cascade.segment(images, handed_over).half().cpu()
            if progress is not None:
                progress("segment", part.stop, count)
        if self.consistent:
            _smooth_along_the_body(maps, slice_mm)
        return CanvasProbabilities(maps, placement)

    @torch.inference_mode()
    def run_slice(self, hu: NDArray[np.int16], spacing_mm: tuple[float, float] | None) -> Tensor:
        """Probabilities (C, H, W) float32 of a single axial slice on its own pixels.

        Args:
            hu: (H, W), row 0 anterior, column 0 the patient's right.
            spacing_mm: Row and column spacing; None takes the canvas's assumption.
        """
        placement = find_placement(hu, spacing_mm=spacing_mm, canvas=self.canvas, grow=self.grows)
        shown = torch.from_numpy(self.canvas.window.apply(hu))[None, None]
        with self._autocast():
            maps = self.cascade(draw(shown, placement).to(self.device))
        foreground = take_off(maps[:, 1:].float().cpu(), placement)[0]
        # What was cut from the canvas is background.
        return torch.cat(((1 - foreground.sum(dim=0, keepdim=True)).clamp(min=0), foreground))

    def _batches(self, volume: Volume, placement: Placement) -> Iterator[tuple[slice, Tensor]]:
        count = volume.shape[2]
        for start in range(0, count, BATCH_SLICES):
            part = slice(start, min(start + BATCH_SLICES, count))
            shown = self.canvas.window.apply(volume.voxels[:, :, part].transpose(2, 1, 0))
            images = draw(torch.from_numpy(np.ascontiguousarray(shown))[:, None], placement)
            yield part, fast_layout(images.to(self.device))

    def _locate(self, images: Tensor, belief: Tensor | None) -> Located:
        if belief is None:
            return self.cascade.locate(images)
        return self.cascade.take_over(images, belief.to(self.device))

    def _autocast(self) -> torch.autocast:
        return torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=has_fast_bfloat16(self.device))

    def _make_consistent(self, beliefs: list[Tensor], slice_mm: float) -> Tensor:
        """Smooth along the body and keep the main bodies: (K, 1, H, W) float16."""
        belief = torch.cat(beliefs)
        if not (self.consistent and self.cascade.locates):
            return belief
        volume = belief[:, 0].numpy().astype(np.float32)
        smooth = ndimage.gaussian_filter1d(volume, SMOOTHING_MM / slice_mm, axis=0, mode="nearest")
        smooth[~main_bodies(smooth)] = 0
        return torch.from_numpy(smooth[:, None].astype(np.float16))


def _smooth_along_the_body(maps: Tensor, slice_mm: float) -> None:
    """Average foreground probabilities (K, C, H, W) over neighbouring slices, in place."""
    for channel in range(1, maps.shape[1]):
        volume = maps[:, channel].float().numpy()
        smooth = ndimage.gaussian_filter1d(volume, SMOOTHING_MM / slice_mm, axis=0, mode="nearest")
        maps[:, channel] = torch.from_numpy(smooth).half()
    maps[:, 0] = (1 - maps[:, 1:].float().sum(dim=1)).clamp(min=0).half()


def _on_canvas(belief: NDArray[np.float32] | None, part: slice, placement: Placement) -> Tensor | None:
    """Somebody else's belief in slices of a volume, (B, 1, H, W)."""
    if belief is None:
        return None
    return draw(torch.from_numpy(np.ascontiguousarray(belief[:, :, part].transpose(2, 1, 0)))[:, None], placement)


def _stored(located: Located) -> Located:
    return replace(located, probabilities=located.probabilities.half().cpu())


def has_fast_bfloat16(device: torch.device) -> bool:
    """Whether the device computes bfloat16 natively (AVX-512 BF16 on a CPU)."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported()
    supported = getattr(torch.cpu, "_is_avx512_bf16_supported", None)  # absent from some builds
    return bool(supported is not None and supported())
