"""Reading options of a data set that its files do not contain, stored beside derived results."""

from pathlib import Path
from typing import Annotated

from pydantic import Field

from pancascade.data.readers.case import Case
from pancascade.data.readers.data_set_layout import Layout, PictureReading, read_data_set
from pancascade.data.readers.slice_folder import slice_folder
from pancascade.data.readers.structure import StructureName, named_structures
from pancascade.errors import DataError
from pancascade.imaging.preprocessing import Window
from pancascade.settings import Settings


class DataReading(Settings):
    """Layout of a data set, and reading options for the pictures of a slice folder.

    Attributes:
        layout: Layout of the folder.
        window: Hounsfield units of grey 0 and grey 255 in pictures.
        flip_rows: Whether pictures show the patient's back at the top.
        mask_values: Structure of each value of the pictures' masks; None: all values above 0 are pancreas.
        pixel_mm: Pixel spacing of pictures whose row in the index has none.
        without_masks: Whether the pictures show no pancreas and have no masks.
    """

    layout: Layout
    window: Window = Window()
    flip_rows: bool = False
    mask_values: dict[Annotated[int, Field(ge=1, le=255)], StructureName] | None = None
    pixel_mm: float | None = Field(default=None, gt=0)
    without_masks: bool = False

    def cases(self, path: Path) -> list[Case]:
        """Return the cases of a data set of this layout; no image is opened.

        Args:
            path: Folder of the data set, or the CSV of a volume list.

        Raises:
            DataError: No such path, or a damaged index.
        """
        if self.layout is not Layout.SLICE_FOLDER:
            return read_data_set(path, layout=self.layout, pictures=PictureReading(self.window, self.flip_rows))
        if not path.is_dir():
            raise DataError(f"{path}: no such folder. Layout {self.layout} is a folder.")
        return slice_folder(
            path,
            window=self.window,
            flip_rows=self.flip_rows,
            mask_values=named_structures(self.mask_values),
            without_masks=self.without_masks,
            pixel_mm=self.pixel_mm,
        )
