"""How much training images are changed at random."""

from pydantic import Field

from pancascade.settings import Settings


class Augmentation(Settings):
    """Ranges of the random changes; zero switches one off.

    Attributes:
        mirror_probability: Share of images turned left to right. Organs have their side: only to follow others.
        rotation_degrees: Largest angle either way.
        scaling: Largest factor either way, 0.25 meaning 0.8 to 1.25.
        stretching: Largest factor of the axes against each other.
        shift_pixels: Largest shift either way along each axis.
        elastic_pixels: Standard deviation of a smooth random displacement.
        brightness: Largest change of grey value, of the window's width.
        contrast: Largest factor of contrast either way.
        gamma: Largest exponent either way.
        noise: Largest standard deviation of added noise, of the window's width.
        blur_probability: Share of images that are smoothed a little.
        coarse_probability: Share of images that lose resolution, to pixels up to three times as wide.
        sharp_probability: Share of images whose edges are enhanced, as sharp kernels do.
        gut_probability: Share of images in which gut is filled with bright oral contrast, or with gas, at random places
            outside the target.
        neighbour_dropout: Share of images whose neighbouring slices are replaced by the slice itself.
        neighbour_warp_pixels: Neighbours that only repeat the slice are bent by a smooth random displacement of this
            standard deviation times their distance in channels, in half of the images: slices that stand alone must
            not be known by their equal neighbours.
        target_shift: Largest change of the target's grey value alone, of the window's width: phases of contrast.
    """

    mirror_probability: float = Field(default=0.0, ge=0, le=1)
    rotation_degrees: float = Field(default=0.0, ge=0)
    scaling: float = Field(default=0.0, ge=0)
    stretching: float = Field(default=0.0, ge=0)
    shift_pixels: float = Field(default=0.0, ge=0)
    elastic_pixels: float = Field(default=0.0, ge=0)
    brightness: float = Field(default=0.0, ge=0)
    contrast: float = Field(default=0.0, ge=0)
    gamma: float = Field(default=0.0, ge=0)
    noise: float = Field(default=0.0, ge=0)
    blur_probability: float = Field(default=0.0, ge=0, le=1)
    coarse_probability: float = Field(default=0.0, ge=0, le=1)
    sharp_probability: float = Field(default=0.0, ge=0, le=1)
    gut_probability: float = Field(default=0.0, ge=0, le=1)
    neighbour_dropout: float = Field(default=0.0, ge=0, le=1)
    neighbour_warp_pixels: float = Field(default=0.0, ge=0)
    target_shift: float = Field(default=0.0, ge=0)
