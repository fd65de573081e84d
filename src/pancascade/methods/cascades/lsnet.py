"""L-SNet: L-Net locates regions, RoI recalibration samples them differentiably, S-Net segments them."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

import torch
from torch import Generator, Tensor

from pancascade.imaging.volume import Box
from pancascade.labels import Label
from pancascade.methods.cascades.class_probabilities import compose_two_classes
from pancascade.methods.cascades.located_regions import LocatedRegions, hull, regions_of, whole_pixel_boxes
from pancascade.methods.cascades.lsnet_settings import LSNetSettings
from pancascade.methods.cascades.protocol import Cascade, Located, is_any
from pancascade.methods.losses import bce_loss
from pancascade.methods.losses.distance_iou import distance_iou_loss
from pancascade.methods.losses.focal import FocalNormaliser, focal_dice_loss
from pancascade.methods.losses.keypoint_targets import (
    KeypointTargets,
    find_keypoints,
    keypoint_targets,
    nearest_cells,
    region_boxes,
)
from pancascade.methods.networks.localization_net import Localization
from pancascade.methods.networks.roi_recalibration import (
    box_corners,
    cell_to_image,
    place_back,
    recalibrate,
    recalibration_theta,
    scale_gradient,
)
from pancascade.metrics import Region


class LSNet(Cascade):
    """The two networks of L-SNet and the module between them.

    Source: L-SNet, Figs. 2–3; variants in methods.md §B.
    """

    dimensions = 2
    first_map_is_mask = False
    objectives = 2
    phases = ("alternate",)
    export_chain = (
        "first: the canvas; sigmoid(heatmap) >= 0.5 has one region for each connected component, around its peak; the "
        "distances there reach from the cell's point (4x + 2, 4y + 2) to the box's left, top, right and bottom edge.",
        "second: each box widened by margin pixels, sampled bilinearly to the size of the canvas; sigmoid; sample "
        "back; the largest where regions overlap.",
    )
    labels = (Label.PANCREAS,)

    def __init__(self, settings: LSNetSettings) -> None:
        super().__init__()
        self.settings = settings
        self.first = settings.first.build()
        self.second = settings.second.build()
        both = (Label.PANCREAS, Label.TUMOUR)
        self.first_target = both if settings.target == "pancreas_with_tumour" else (Label.PANCREAS,)

    # ── stages ──

    def localize(self, images: Tensor) -> Localization:
        """Return heatmap logits and distances of images (B, 1, H, W)."""
        found: Localization = self.first(images)
        return found

    def second_logits(self, regions: Tensor) -> Tensor:
        """Return S-Net's logits (N, 1, H, W), float32, of recalibrated regions (N, 1, H, W)."""
        return self.second(regions).float()

    # ── training ──

    def losses(
        self, images: Tensor, labels: Tensor, *, phase: str, generator: Generator
    ) -> Iterator[dict[str, Tensor]]:
        """Yield L_L for a step of L-Net, then L_S for a step of both networks (§2.5, methods.md §B3)."""
        masks = is_any(labels, self.first_target)
        yield self._localization_losses(self.localize(images), masks)
        theta = self._training_regions(self.localize(images), images, generator)
        regions = recalibrate(images, theta, _size(images))
        sampled_by = theta if self.settings.target_gradient == "through" else theta.detach()
        truth = recalibrate(masks, sampled_by, _size(images))
        yield {"segmentation": self._loss(self.second_logits(regions), truth)}

    def pass_over(self, count: int, *, phase: str, objective: int, generator: Generator) -> None:
        """Draw a cell for each image of the second objective; see `Cascade.pass_over`."""
        if objective == 1:
            self._drawn_candidates(count, generator)

    def _drawn_candidates(self, count: int, generator: Generator) -> Tensor:
        return torch.randint(self.settings.candidates, (count, 1), generator=generator)

    def _localization_losses(self, found: Localization, masks: Tensor) -> dict[str, Tensor]:
        """Return L_L = ℓ_FD of the heatmap + DIoU of the boxes at its positive cells (Eq. 5)."""
        wanted, settings = self._targets(masks), self.settings
        return {
            "heatmap": self._loss(
                found.heatmap,
                wanted.heatmap,
                normaliser=settings.heatmap_normaliser,
                squared_dice=settings.heatmap_dice == "squared",
            ),
            "box": distance_iou_loss(found.distances, wanted.distances, wanted.positive),
        }

    def _targets(self, masks: Tensor) -> KeypointTargets:
        """Return L-Net's targets for masks (B, 1, H, W)."""
        return keypoint_targets(
            masks,
            sigma=self.settings.sigma,
            spread=self.settings.spread,
            round_centres=self.settings.round_centres,
            regions=self.settings.regions,
            threshold=self.settings.distance_threshold,
        )

    def _training_regions(self, found: Localization, images: Tensor, generator: Generator) -> Tensor:
        """Return θ (B, 2, 3) at one of the highest cells of each image, its gradient scaled by γ."""
        highest = found.heatmap.detach().flatten(1).topk(self.settings.candidates, dim=1).indices
        choice = self._drawn_candidates(len(images), generator)
        flat = highest.gather(1, choice.to(highest.device))[:, 0]
        width = found.heatmap.shape[-1]
        cells = torch.stack((flat % width, flat // width), dim=1)
        theta = self._theta(cells, _at_cells(found.distances, cells), _size(images))
        return scale_gradient(theta, self.settings.gamma)

    def _loss(
        self, logits: Tensor, target: Tensor, *, normaliser: FocalNormaliser = "cells", squared_dice: bool = False
    ) -> Tensor:
        if self.settings.loss == "bce":
            return bce_loss(logits, target)
        return focal_dice_loss(
            logits,
            target,
            dice_weight=self.settings.dice_weight,
            weighting=self.settings.dice_weighting,
            reading=self.settings.focal,
            alpha=self.settings.focal_alpha,
            normaliser=normaliser,
            squared_dice=squared_dice,
        )

    def _theta(self, cells: Tensor, distances: Tensor, size: tuple[int, int]) -> Tensor:
        """Return θ (N, 2, 3) of the boxes at cells (N, 2) with distances (N, 4) to their edges."""
        points = cell_to_image(cells.float())
        if self.settings.handover == "recalibration":
            return recalibration_theta(points, distances, size=size, margin=self.settings.margin)
        corners = box_corners(points, distances.detach() + self.settings.margin)
        limits = torch.tensor([size[1], size[0]], device=corners.device)
        low = corners[:, :2].floor().clamp(min=0).minimum(limits - 1)
        high = corners[:, 2:].ceil().minimum(limits).maximum(low + 1)
        centre, half = (low + high) / 2, (high - low) / 2
        return recalibration_theta(centre, torch.cat((half, half), dim=1), size=size, margin=0)

    # ── inference ──

    def locate(self, images: Tensor) -> LocatedRegions:
        """Return regions at the components of the heatmap (§2.4, methods.md §B4)."""
        found = self.localize(images)
        return self._regions_at(torch.sigmoid(found.heatmap), found.distances, _size(images))

    def update_rois(self, located: Located, probabilities: Tensor) -> LocatedRegions:
        """Return regions at keypoints of the new heatmap (B, 1, H/4, W/4), boxes by the distances at its cells."""
        found = regions_of(located)
        size = (4 * probabilities.shape[2], 4 * probabilities.shape[3])
        return self._regions_at(probabilities, found.distances, size)

    def from_mask(self, images: Tensor, probabilities: Tensor) -> LocatedRegions:
        """Return regions around each component, or all, of probabilities (B, 1, H, W) ≥ ½."""
        masks, size = (probabilities >= 0.5).float(), _size(images)
        thetas = []
        for mask in masks[:, 0]:
            boxes = region_boxes(mask, regions=self.settings.regions).to(probabilities.device)
            half = (boxes[:, 2:] - boxes[:, :2]) / 2
            centre = (boxes[:, 2:] + boxes[:, :2]) / 2
            distances = torch.cat((half, half), dim=1)
            thetas.append(recalibration_theta(centre, distances, size=size, margin=self.settings.margin))
        wanted = self._targets(masks)
        return LocatedRegions(wanted.heatmap, whole_pixel_boxes(thetas, size), wanted.distances, tuple(thetas))

    def replace_rois(self, located: Located, other: Located) -> LocatedRegions:
        """Replace the boxes and the subpixel regions; see `Cascade.replace_rois`."""
        own, theirs = regions_of(located), regions_of(other)
        return replace(own, boxes=theirs.boxes, regions=theirs.regions)

    def _regions_at(self, heatmaps: Tensor, distances: Tensor, size: tuple[int, int]) -> LocatedRegions:
        thetas = []
        for maps, cells in zip(distances, self._keypoint_cells(heatmaps), strict=True):
            seen = _at_cells(maps.expand(len(cells), -1, -1, -1), cells)
            thetas.append(self._theta(cells, seen, size))
        return LocatedRegions(heatmaps, whole_pixel_boxes(thetas, size), distances, tuple(thetas))

    def _keypoint_cells(self, heatmaps: Tensor) -> list[Tensor]:
        """Return the cells (K, 2) of each image whose distances give its boxes."""
        return [nearest_cells(keypoints) for keypoints in find_keypoints(heatmaps, regions=self.settings.regions)]

    def first_boxes(self, located: Located, shape: Sequence[int]) -> tuple[dict[str, Box | Region | None], ...]:
        """Return as ``box`` the subpixel hull of all L-Net boxes, without margin m; see `Cascade.first_boxes`.

        The mIoU of Tables 3 and 4 uses these boxes.
        """
        found = regions_of(located)
        regions: list[dict[str, Box | Region | None]] = []
        for maps, cells in zip(found.distances, self._keypoint_cells(found.probabilities), strict=True):
            seen = _at_cells(maps.expand(len(cells), -1, -1, -1), cells)
            corners = box_corners(cell_to_image(cells.float()), seen.float())
            regions.append({"box": hull(corners, shape) if len(cells) else None})
        return tuple(regions)

    def segment(self, images: Tensor, located: Located) -> Tensor:
        """Return S-Net's probabilities in every region, placed back; the maximum in overlaps. See `Cascade.segment`."""
        found = torch.zeros_like(images[:, :1], dtype=torch.float32)
        for index, theta in enumerate(regions_of(located).regions):
            if len(theta):
                regions = recalibrate(images[index : index + 1].expand(len(theta), -1, -1, -1), theta, _size(images))
                answers = torch.sigmoid(self.second_logits(regions))
                found[index] = place_back(answers, theta, _size(images)).amax(dim=0)
        return compose_two_classes(found)


def _at_cells(maps: Tensor, cells: Tensor) -> Tensor:
    """Return the values (N, C) of maps (N, C, h, w) at one cell (x, y) each, (N, 2)."""
    columns = cells[:, 0].clamp(0, maps.shape[3] - 1)
    rows = cells[:, 1].clamp(0, maps.shape[2] - 1)
    return maps[torch.arange(len(maps), device=maps.device), :, rows, columns]


def _size(images: Tensor) -> tuple[int, int]:
    return images.shape[-2], images.shape[-1]
