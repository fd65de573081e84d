"""A scan's way through a model's first step, without and with the search that goes on in doubt, watched and timed."""

import time
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from pancascade.cascades import Located
from pancascade.inference.calibration import calibrated
from pancascade.inference.chain import outcome, search
from pancascade.inference.engine import SliceEngine
from pancascade.inference.finding import Finding
from pancascade.inference.locating import SURE
from pancascade.inference.models import Model
from pancascade.location import Location
from pancascade.metrics import confusion
from pancascade.preprocessing import Placement, body_box
from pancascade.preprocessing.drawing import take_off
from pancascade.volume import Box, Volume


@dataclass
class Boxes:
    """A hand-over that changes nothing and remembers where stage 2 looks."""

    at: Box
    seen: list[tuple[int, Placement | None, tuple[Box, ...]]] = field(default_factory=list)

    def __call__(self, part: slice, placement: Placement | None, located: Located) -> Located:
        """Remember the boxes of a batch of slices."""
        self.seen += [(part.start + n, placement, boxes) for n, boxes in enumerate(located.boxes)]
        return located

    def share_of(self, organ: NDArray[np.bool_], counted: slice) -> float:
        """How much of the organ (I, J, K) of the scan lies within them, in some slices; NaN where there is none."""
        inside, held = organ[self.at.slices], 0
        wanted = range(organ.shape[2])[counted]
        for k, placement, boxes in self.seen:
            if placement is None or not boxes or k not in wanted:
                continue
            sheet = torch.zeros((1, 1, *placement.canvas))
            for box in boxes:
                sheet[0, 0][box.clip(placement.canvas).slices] = 1
            held += int(np.count_nonzero(inside[:, :, k].T & (take_off(sheet, placement)[0, 0].numpy() >= 0.5)))
        total = int(np.count_nonzero(organ[:, :, counted]))
        return held / total if total else float("nan")


@dataclass(frozen=True)
class WatchedEngine(SliceEngine):
    """An engine that remembers the boxes of every look.

    Attributes:
        looks: One record a look, in order.
    """

    looks: list[Boxes] = field(default_factory=list)

    def find(self, volume: Volume, *, at: Box, **how: Any) -> Finding:
        """As `SliceEngine.find`, and remembered."""
        self.looks.append(Boxes(at))
        return super().find(volume, at=at, **how, hand_over=self.looks[-1])


class Found(NamedTuple):
    """What the first step finds in a scan.

    Attributes:
        finding: Calibrated.
        outcome: How plausible that organ is, as the search judges it, before it is calibrated.
        boxes: Where stage 2 looked for it.
        looks: How often the scan was looked at.
        mask: (I, J, K).
    """

    finding: Finding
    outcome: Location
    boxes: Boxes
    looks: int
    mask: NDArray[np.bool_]


def find(scan: Volume, model: Model, engine: SliceEngine, *, rescue: bool) -> Found:
    """What the first step finds with or without the search, as the user gets it."""
    watched = WatchedEngine(engine.cascade, engine.canvas, engine.device, rescue=rescue)
    body = body_box(scan)
    raw = search(scan, watched, body)
    finding = calibrated(raw, model.calibration)
    mask = finding.labels(scan.shape, spacing_mm=scan.spacing_mm, organ_threshold=model.organ_threshold) > 0
    return Found(finding, outcome(raw, scan, body), watched.looks[0], len(watched.looks), mask)


def measure(
    scan: Volume, organ: NDArray[np.bool_], model: Model, engine: SliceEngine, *, counted: slice = slice(None)
) -> dict[str, Any]:
    """Stage 1, location and Dice of a scan without and with the search.

    Args:
        scan: Upright.
        organ: The true one, (I, J, K).
        model: Its thresholds and calibration.
        engine: Of its first step.
        counted: Slices in which Dice and what stage 1 holds are counted.
    """
    row = _measured(scan, organ, model, engine, rescue=False, counted=counted)
    searched = row
    if min(row["location"]["confidence"], row["outcome"]["confidence"]) < SURE:
        searched = _measured(scan, organ, model, engine, rescue=True, counted=counted)
    # A sure location is not searched further, so that nothing differs.
    return {f"{k}_without": v for k, v in row.items()} | {f"{k}_with": v for k, v in searched.items()}


def _measured(
    scan: Volume, organ: NDArray[np.bool_], model: Model, engine: SliceEngine, *, rescue: bool, counted: slice
) -> dict[str, Any]:
    started = time.perf_counter()
    found = find(scan, model, engine, rescue=rescue)
    seconds = time.perf_counter() - started
    return {
        "held": found.boxes.share_of(organ, counted),
        "dice": confusion(found.mask[:, :, counted], organ[:, :, counted]).dice,
        "location": (found.finding.location or Location(confidence=0)).model_dump(),
        "outcome": found.outcome.model_dump(),
        "looks": found.looks,
        "seconds": seconds,
        "mask": found.mask,
    }
