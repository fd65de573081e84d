"""Record of a case in a store: slices, grids, counts, files."""

from pancascade.settings import Settings


class FileDigest(Settings):
    """A file and the digest of its content.

    Attributes:
        path: Path relative to the folder of the store or the source, with slashes.
        digest: Result of `pancascade.files.digests.content_digest`.
        size: Size in bytes; None for a source, which may be a folder.
    """

    path: str
    digest: str
    size: int | None = None


class StoreGrid(Settings):
    """Grid of a volume.

    Attributes:
        shape: (I, J, K).
        affine: Rows of the (4, 4) matrix from voxel index to RAS+ mm.
        orientation: Directions of the three axes.
        spacing_mm: Spacing along the three axes.
    """

    shape: tuple[int, int, int]
    affine: tuple[tuple[float, float, float, float], ...]
    orientation: str
    spacing_mm: tuple[float, float, float]


class SliceCounts(Settings):
    """Numbers of slices: all, with pancreas (tumour included), with tumour."""

    slices: int = 0
    with_pancreas: int = 0
    with_tumour: int = 0


class PreparedSlice(Settings):
    """One slice of a store.

    Attributes:
        name: Name in its source.
        position: Index in the case's arrays; 0 for a picture.
        number: Number from the feet, from 0; None if unknown.
        z_mm: Position of the slice's centre towards the head; None if unknown.
        shape: Rows and columns.
        spacing_mm: Spacing of rows and columns; None if unknown.
        pancreas_pixels: Pixels of pancreas, tumour included.
        tumour_pixels: Pixels of tumour.
        image: Image file, relative to the store's folder.
        labels: Label file, relative to the store's folder.
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
        name: Name, unique in the store.
        patient: Name of the patient.
        source: Name of the data set.
        slices: Slices from the feet up.
        grid: Grid of the whole volume in the store, axes to left, posterior, superior; None for single slices.
        scan_grid: Grid of the source scan; None for single slices.
        pancreas_ml: Volume of the pancreas in the scan, tumour included.
        tumour_ml: Volume of the tumour in the scan.
        found: Counts of the source, before resampling and omission of slices.
        source_files: Source files.
        files: Written files.
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
        """Return the counts of the case in the store."""
        return SliceCounts(
            slices=len(self.slices),
            with_pancreas=sum(one.pancreas_pixels > 0 for one in self.slices),
            with_tumour=sum(one.tumour_pixels > 0 for one in self.slices),
        )
