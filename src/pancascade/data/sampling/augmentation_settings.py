"""Settings of the random changes of training images."""

from pydantic import Field

from pancascade.settings import Settings


class Augmentation(Settings):
    """Ranges of the random changes; zero switches a change off.

    Attributes:
        mirror_probability: Share of images mirrored left to right. Anatomically wrong; only to reproduce other methods.
        rotation_degrees: Largest angle in either direction.
        scaling: Largest relative change of size; 0.25 means factors from 0.8 to 1.25.
        stretching: Largest relative change of the ratio of the axes.
        shift_pixels: Largest shift in either direction along each axis.
        elastic_pixels: Standard deviation of a smooth random displacement.
        brightness: Largest change of grey value, as a share of the window's width.
        contrast: Largest relative change of contrast.
        gamma: Largest relative change of the exponent of grey values.
        noise: Largest standard deviation of added noise, as a share of the window's width.
        blur_probability: Share of images that are smoothed slightly.
        coarse_probability: Share of images with reduced resolution, to pixels up to three times as wide.
        sharp_probability: Share of images with sharpened edges, as by sharp kernels.
        gut_probability: Share of images in which gut is filled with bright oral contrast, or with gas, at random places
            outside the target.
        lesion_probability: Share of the images with pancreas and without tumour that get an artificial lesion, labelled
            as tumour.
        neighbour_dropout: Share of images whose neighbouring slices are replaced by the slice itself.
        neighbour_warp_pixels: In half of the images whose neighbours only repeat the slice, neighbours are warped by a
            smooth random displacement of this standard deviation times their distance in channels. Otherwise networks
            could recognise single slices by their equal neighbours.
        target_shift: Largest change of the target's grey value only, as a share of the window's width: contrast phases.
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
    lesion_probability: float = Field(default=0.0, ge=0, le=1)
    neighbour_dropout: float = Field(default=0.0, ge=0, le=1)
    neighbour_warp_pixels: float = Field(default=0.0, ge=0)
    target_shift: float = Field(default=0.0, ge=0)
