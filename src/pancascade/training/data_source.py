"""One data set of a run, as a recipe tells it."""

from collections.abc import Set
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from pancascade.data.readers import Layout
from pancascade.data.readers.structure import StructureName
from pancascade.imaging.preprocessing import Window
from pancascade.settings import Settings

MOST_PER_EPOCH = 10_000_000
"""Slices of an epoch: years of training."""


class DataSource(Settings):
    """One data set of a run.

    Attributes:
        reader: Layout of the folder.
        folder: Below the ``--data`` folder, with the folders above it or without, or that folder itself (for
            ``volume_list``: the CSV, beside the recipe or below it).
        split: JSON file with the patients of each part, beside the recipe; ``seeded`` draws 70 / 10 / 20 % of the
            patients, the name of a paper's design (``qiu2024-msd`` and so on) draws that one, by the recipe's seed, and
            both write them to the run's folder; None uses all patients for training.
        fold: Of a split of folds, the one that is tested on; the others train.
        keep: Which slices are used.
        per_epoch: Slices an epoch; None takes each once.
        window: Hounsfield units of grey 0 and 255 in pictures.
        flip_rows: Pictures show the back at the top.
        mask_values: What each value of the pictures' masks stands for: pancreas, tumour, or a helper organ (liver,
            kidneys, ...); None: all above 0 is pancreas.
        without_masks: The pictures show no pancreas and have no masks.
        rows_with: Only pictures whose row of the index has these values in these columns.
        pixel_mm: Pixel spacing of pictures whose row does not tell it.
        region_margin: Pictures are cut to their mask's box with so many pixels around; None keeps them whole.
        scans: Of corrected results, the folder of their scans or the CSV that lists them, where they are not beside.
        optional: Go on without this source where its files are missing, with a warning.
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
        """Those of the helper organs that the pictures' masks outline."""
        return frozenset(organs & set((self.mask_values or {}).values()))
