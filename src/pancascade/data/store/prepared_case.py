"""What a store knows of each of its cases: slices, grids, counts, files."""

from pancascade.settings import Settings


class FileDigest(Settings):
    """A file and its content.

    Attributes:
        path: Below the store's folder, or the source's; parts joined by a slash.
        digest: As of `pancascade.files.digests.content_digest`.
        size: In bytes; None for a source, which may be a folder.
    """

    path: str
    digest: str
    size: int | None = None


class StoreGrid(Settings):
    """Where the voxels of a volume lie.

    Attributes:
        shape: (I, J, K).
        affine: Rows of the (4, 4) matrix from voxel index to RAS+ mm.
        orientation: Where the three axes point.
        spacing_mm: Along the three axes.
    """

    shape: tuple[int, int, int]
    affine: tuple[tuple[float, float, float, float], ...]
    orientation: str
    spacing_mm: tuple[float, float, float]


class SliceCounts(Settings):
    """How many slices there are, and what they show; a tumour belongs to the pancreas."""

    slices: int = 0
    with_pancreas: int = 0
    with_tumour: int = 0


class PreparedSlice(Settings):
    """One slice of a store.

    Attributes:
        name: As its source called it.
        position: Row of the case's arrays; 0 for a picture.
        number: From the feet, counted from 0; None where the source does not tell.
        z_mm: Of the slice's centre, towards the head; None where the source does not tell.
        shape: Rows and columns.
        spacing_mm: Of rows and columns.
        pancreas_pixels: Tumour included.
        tumour_pixels: Of these.
        image: File below the store's folder.
        labels: File below the store's folder.
    """

    name: str
    position: int
    number: int | None
    z_mm: float | None
    shape: tuple[int, int]
    spacing_mm: tuple[float, float] | None
    pancreas_pixels: int
    tumour_pixels: int
    image: str
    labels: str


class PreparedCase(Settings):
    """One case of a store.

    Attributes:
        name: Unique in the store.
        patient: Whose it is.
        source: Name of the data set.
        slices: From the feet up.
        grid: Of the whole volume in the store, axes to left, posterior, superior; None for single slices.
        scan_grid: Of the scan it was made from.
        pancreas_ml: In the scan, tumour included.
        tumour_ml: Of these.
        found: What the source has, before resampling and before slices were left out.
        source_files: What it was made from.
        files: What was written.
    """

    name: str
    patient: str
    source: str
    slices: tuple[PreparedSlice, ...]
    grid: StoreGrid | None
    scan_grid: StoreGrid | None
    pancreas_ml: float | None
    tumour_ml: float | None
    found: SliceCounts
    source_files: tuple[FileDigest, ...]
    files: tuple[FileDigest, ...]

    @property
    def counts(self) -> SliceCounts:
        """What the store has of it."""
        return SliceCounts(
            slices=len(self.slices),
            with_pancreas=sum(one.pancreas_pixels > 0 for one in self.slices),
            with_tumour=sum(one.tumour_pixels > 0 for one in self.slices),
        )
