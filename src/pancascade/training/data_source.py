"""Settings of one data set of a run in a recipe."""

from collections.abc import Set
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from pancascade.data.readers import Layout
from pancascade.data.readers.structure import StructureName
from pancascade.imaging.preprocessing import Window
from pancascade.settings import Settings

MOST_PER_EPOCH = 10_000_000
"""Limit of slices per epoch, which is years of training."""


class DataSource(Settings):
    """Settings of one data set of a run.

    Attributes:
        reader: Layout of the folder.
        folder: Folder below the ``--data`` folder, with or without its parent folders, or that folder itself (for
            ``volume_list``: the CSV, beside the recipe or below it).
        split: JSON file with the patients of each part, beside the recipe. ``seeded`` draws 70 / 10 / 20 % of the
            patients, the name of a paper's design (such as ``qiu2024-msd``) draws that design, both by the recipe's
            seed and into the run's folder. None uses all patients for training.
        fold: For a split of folds, the test fold; the others train.
        keep: Rule for the slices to use.
        per_epoch: Number of slices per epoch; None takes each once.
        window: Hounsfield units of grey 0 and 255 in pictures.
        flip_rows: Whether pictures show the back at the top.
        mask_values: Structure of each value of the pictures' masks: pancreas, tumour, or a helper organ (liver,
            kidneys, ...); None: all values above 0 are pancreas.
        without_masks: Whether the pictures show no pancreas and have no masks.
        rows_with: Use only pictures whose row of the index has these values in these columns.
        pixel_mm: Pixel spacing of pictures whose row has none.
        region_margin: Crop pictures to their mask's box with this margin in pixels; None keeps them whole.
        scans: For corrected results, the folder of their scans or the CSV that lists them, if not beside the results.
        optional: Whether to continue with a warning without this source if its files are missing.
        validate_on: Whether the validation part is used.
    """

    reader: Layout
    folder: str
    split: str | None = None
    fold: int | None = Field(default=None, ge=0)
    keep: Literal["all", "pancreas", "tumour", "no_pancreas", "no_tumour"] = "all"
    per_epoch: int | None = Field(default=None, gt=0, le=MOST_PER_EPOCH)
    window: Window = Window()
    flip_rows: bool = False
    mask_values: dict[Annotated[int, Field(ge=1, le=255)], StructureName] | None = Field(default=None, min_length=1)
    without_masks: bool = False
    rows_with: dict[str, str] = Field(default_factory=dict)
    pixel_mm: float | None = Field(default=None, gt=0)
    region_margin: int | None = Field(default=None, ge=0)
    scans: str | None = None
    optional: bool = False
    validate_on: bool = True

    @model_validator(mode="after")
    def _pictures_alone_have_masks_of_values(self) -> Self:
        given = [key for key in ("mask_values", "without_masks", "rows_with", "pixel_mm") if getattr(self, key)]
        if given and self.reader is not Layout.SLICE_FOLDER:
            raise ValueError(f"{given[0]} is for reader slice_folder, not {self.reader.value}")
        if self.without_masks and self.mask_values:
            raise ValueError("without_masks and mask_values contradict each other; give one of them")
        return self

    @model_validator(mode="after")
    def _corrections_alone_have_scans_elsewhere(self) -> Self:
        if self.scans is not None and self.reader is not Layout.CORRECTIONS:
            raise ValueError(f"scans is for reader corrections, not {self.reader.value}")
        return self

    def outlined(self, organs: Set[str]) -> frozenset[str]:
        """Return the helper organs that the pictures' masks outline."""
        return frozenset(organs & set((self.mask_values or {}).values()))
