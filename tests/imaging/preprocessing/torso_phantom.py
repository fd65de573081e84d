"""A torso from the thighs to the neck, drawn in mm: what is cut from it is a scan of a known part of the body."""

from functools import cache

import numpy as np

from pancascade.imaging.volume import Volume

SPACING_MM = (5.0, 5.0, 5.0)
LEGS_MM, PELVIS_MM, LUNG_BASE_MM, NECK_MM, TOP_MM = 150, 250, 480, 700, 800
"""Where, above the lowest slice, the legs join, the pelvis ends, the lungs begin, the neck begins, all ends."""


@cache
def torso(*, table: bool = True, arms: bool = False) -> Volume:
    """LPS, 450 mm wide and deep, the body's centre in the middle; drawn once, not to be changed."""
    across, behind, height = np.meshgrid(
        np.arange(-225, 225, 5), np.arange(-225, 225, 5), np.arange(0, TOP_MM, 5), indexing="ij"
    )

    def within(centre, radii, *, of=(across, behind)):
        return (
            sum(((place - middle) / radius) ** 2 for place, middle, radius in zip(of, centre, radii, strict=True)) < 1
        )

    space = (across, behind, height)
    trunk = within((0, 0), (170, 110)) & (height >= LEGS_MM) & (height < NECK_MM)
    legs = (within((-90, 0), (70, 80)) | within((90, 0), (70, 80))) & (height < LEGS_MM)
    neck = within((0, 20), (60, 60)) & (height >= NECK_MM)
    hu = np.full(across.shape, -1000, np.int16)
    hu[trunk | legs | neck] = -100
    hu[(within((0, 0), (150, 95)) & trunk)] = 0
    hu[within((-80, -10, LUNG_BASE_MM - 40), (75, 75, 90), of=space)] = 100  # liver, on the right
    hu[
        (within((-75, 0), (55, 70)) | within((75, 0), (55, 70))) & (height >= LUNG_BASE_MM) & (height < NECK_MM - 20)
    ] = -800
    hu[within((0, 80), (20, 20)) & ~legs & (hu > -500)] = 400  # spine
    hu[(within((-100, -10), (35, 35)) | within((100, -10), (35, 35))) & trunk & (height < PELVIS_MM)] = 500
    hu[(within((-90, 0), (18, 18)) | within((90, 0), (18, 18))) & legs] = 500
    if arms:
        hu[within((-205, 0), (17, 40)) | within((205, 0), (17, 40))] = 40
    if table:
        hu[(np.abs(across) < 200) & (behind == 150)] = 0
    hu.setflags(write=False)
    return Volume(hu, np.diag((-5.0, -5.0, 5.0, 1.0)))


def between(body: Volume, low_mm: float, high_mm: float) -> Volume:
    """The slices from one height to another."""
    return Volume(body.voxels[..., round(low_mm / 5) : round(high_mm / 5)], body.affine)


def flipped(scan: Volume, *axes: int) -> Volume:
    """The voxels turned round against the header."""
    return Volume(np.flip(scan.voxels, axes), scan.affine)
