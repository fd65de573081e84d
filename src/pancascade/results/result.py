"""``result.json``: the result in a form for programs and for later reports."""

import json
import sys
from contextlib import suppress
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AliasChoices, ConfigDict, Field, PositiveInt, ValidationError

from pancascade.errors import UnreadableError
from pancascade.files.atomic import written_whole
from pancascade.files.documents import first_fault, read_json, reason, shortened
from pancascade.files.given_paths import given_path
from pancascade.imaging.volume.acquisition import Acquisition
from pancascade.labels import Label
from pancascade.messages.counts import counted
from pancascade.messages.names_only import public_name
from pancascade.messages.notices import Notice, Sentence
from pancascade.results.location import Location, Thresholds
from pancascade.results.measurements import Measurements
from pancascade.settings import Settings

NAME = "result.json"
RESEARCH_ONLY = "Research only. Not for clinical use."


def current_versions() -> dict[str, str]:
    """Return the versions of the installed packages that a result depends on."""
    found: dict[str, str] = {}
    for name in ("pancascade", "torch", "openvino", "onnxruntime", "numpy", "nibabel"):
        with suppress(PackageNotFoundError):
            found[name] = version(name)
    return found


Step = Annotated[float, Field(ge=-1e6, le=1e6)]
"""Entry of an affine, in mm; no scanner's coordinates are larger."""


class ScanGrid(Settings):
    """The scan's grid.

    Attributes:
        shape: (I, J, K).
        affine: (4, 4), voxel index to RAS+ mm.
    """

    shape: tuple[PositiveInt, PositiveInt, PositiveInt]
    affine: Annotated[tuple[tuple[Step, Step, Step, Step], ...], Field(min_length=4, max_length=4)]


class PancreasMaskRecord(Settings):
    """A given mask of the pancreas, used in place of the model's.

    Attributes:
        digest: Digest of the label map's voxels and grid, by `pancascade.imaging.volume.digest.volume_digest`.
        values: Values of the label map that are the pancreas with its tumour.
        resampled: Whether it had other voxels than the scan.
        volume_ml: Volume on the scan's grid.
    """

    digest: str
    values: tuple[int, ...]
    resampled: bool
    volume_ml: float


class Result(Settings):
    """All information about one segmented scan except the voxels.

    Attributes:
        scan: Name of the scan's file, without its folders; older results hold its path.
        scan_place: Place of the scan, seen from the result, with marks for folders; see `pancascade.files.scan_place`.
        scan_digest: Digest of its voxels and grid; see `pancascade.imaging.volume.digest.volume_digest`.
        series: Requested DICOM series: a series number, or the mark of a UID.
        model: Name of the model.
        backend: What ran the networks, such as ``torch bf16``.
        created: UTC, ISO 8601.
        thresholds: Thresholds of the mask.
        measurements: Voxels, mL and box of each label.
        pancreas_and_lesions: Diameters, densities, positions, vessels.
        tumour_score: Highest calibrated tumour probability of a 1 mL neighbourhood in the scan, marked or not.
        location: Confidence in the location of the pancreas.
        pancreas_mask: The given mask of the pancreas; None where the model found it.
        grid: The scan's grid.
        acquisition: Acquisition of the scan, from DICOM; None for any other file.
        notices: All notices and decisions, with code and sentence.
        warnings: The sentences of the notices that are warnings.
        times_s: Seconds, by part of the work.
        peak_memory_gb: Most memory that the process used.
        identifiers: Identifiers of patient and study, only if requested.
        trained_on: Marks of the patients in the model's training data, by data set.
        switched_off: Names of `segment`'s additions to the papers' pass that were switched off.
        files: Digests of the files that were written with it, by name.
        versions: Versions of the packages that the result depends on.
    """

    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False)

    format: Literal[2] = 2
    use: str = RESEARCH_ONLY
    scan: str
    scan_place: str | None = None
    scan_digest: str | None = None
    series: str | None = None
    model: str
    backend: str = Field(default="torch", validation_alias=AliasChoices("backend", "engine"))
    created: str = Field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="seconds"))
    labels: dict[str, str] = Field(default_factory=lambda: {str(int(label)): label.title for label in Label})
    thresholds: Thresholds = Thresholds()
    measurements: dict[str, dict[str, Any]]
    pancreas_and_lesions: Measurements = Measurements()
    tumour_score: float | None = Field(default=None, validation_alias=AliasChoices("tumour_score", "tumour_suspicion"))
    location: Location | None = None
    pancreas_mask: PancreasMaskRecord | None = None
    grid: ScanGrid
    acquisition: Acquisition | None = None
    notices: tuple[Notice, ...] = ()
    warnings: tuple[Sentence, ...] = ()
    times_s: dict[str, float] = Field(default_factory=dict)
    peak_memory_gb: float | None = None
    identifiers: dict[str, str] | None = None
    trained_on: tuple[dict[str, Any], ...] = ()
    switched_off: tuple[str, ...] = ()
    files: dict[str, str] = Field(default_factory=dict)
    versions: dict[str, str] = Field(default_factory=current_versions)

    def __repr__(self) -> str:
        """What was found: "<Result of scan.nii.gz by qiu2024-small: pancreas 61.2 mL, tumour 0.0 mL, 1 warning>"."""
        volumes = {name: size.get("volume_ml") for name, size in self.measurements.items()}
        parts = [f"{name.replace('_', ' ')} {ml:.1f} mL" for name, ml in volumes.items() if isinstance(ml, int | float)]
        if self.warnings:
            parts.append(counted(len(self.warnings), "warning"))
        return f"<Result of {public_name(self.scan)} by {self.model}: {', '.join(parts)}>"

    __str__ = __repr__


def peak_memory_gb() -> float | None:
    """Return the most memory that this process has used so far, in 10⁹ bytes; None where the system hides it."""
    try:
        import resource
    except ImportError:  # Windows
        return None
    unit = 1 if sys.platform == "darwin" else 1024
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e9, 3)


def write_result(result: Result, path: Path) -> None:
    """Write a result as JSON.

    Raises:
        OutputError: The path cannot be written.
    """
    with written_whole(path) as temporary:
        temporary.write_text(json.dumps(result.model_dump(mode="json"), indent=2) + "\n")


def place_of(path: Path) -> str:
    """Return the names of a result's file and its folder, without the folders above, for a sentence."""
    folder = path.absolute().parent.name
    return f"{path.name} in {folder}" if folder else path.name


def read_result(path: str | Path) -> Result:
    """Read a result.

    Args:
        path: ``result.json``, or the folder that holds it.

    Raises:
        UnreadableError: There is no result, or it is damaged, or of another kind.
    """
    path = given_path(path, what="path")
    path = path / NAME if path.is_dir() else path
    try:
        written = read_json(path)
        if isinstance(written, dict) and "measurements" in written and "format" not in written:
            raise UnreadableError(
                f"{place_of(path)}: written by an older version, without lesions. Segment the scan again.",
                code="result_too_old",
            )
        return Result.model_validate(written)
    except ValidationError as error:
        raise UnreadableError(
            f"{place_of(path)}: not a result of pancascade segment ({shortened(first_fault(error), 95)}). "
            "Segment the scan again."
        ) from error
    except (OSError, ValueError) as error:
        raise UnreadableError(
            f"{place_of(path)}: not readable as a result ({reason(error)}). Give a folder with result.json."
        ) from error
