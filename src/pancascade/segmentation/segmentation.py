"""The segmentation of a scan, and its files."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pancascade.execution.beside import beside
from pancascade.imaging.volume import Box, Volume
from pancascade.imaging.volume.digest import volume_digest
from pancascade.inference.models.additions import ALL, Additions
from pancascade.labels import Label
from pancascade.messages.counts import counted
from pancascade.messages.names_only import public_name
from pancascade.messages.notices import Notice
from pancascade.results.location import Location, Thresholds
from pancascade.results.measurements import Measurements, label_sizes, measure_scan
from pancascade.results.result import PancreasMaskRecord, Result, ScanGrid, peak_memory_gb
from pancascade.segmentation.saving import Outputs, read_identifiers, write_segmentation


@dataclass(frozen=True, eq=False, repr=False)
class Segmentation:
    """Mask and probabilities on the grid of the scan.

    Attributes:
        scan: The scan as it was read.
        mask: Labels (I, J, K) uint8, ids of `Label`, on the scan's grid.
        region: Box of the scan that holds every voxel with a foreground probability; None if there is none.
        region_probabilities: (2, *region.shape) float32 in steps of 0.001: pancreas, tumour.
        model: Name of the model.
        notices: All notices and decisions.
        times_s: Seconds, by part of the work.
        trained_on: Training data of the model's weights, as recorded in their checkpoints.
        thresholds: Thresholds of the mask.
        location: Confidence in the location of the pancreas; None for a model without a stage 1.
        tumour_score: See `pancascade.inference.pipeline.tumour_score.patient_tumour_score`.
        runs_on: What ran the networks.
        card: Card of the model, Markdown.
        series: Requested DICOM series: a series number, or the mark of a UID.
        additions: Additions to the papers' pass that were on.
        pancreas_mask: The given mask of the pancreas; None where the model found it.
    """

    scan: Volume
    mask: Volume
    region: Box | None
    region_probabilities: NDArray[np.float32]
    model: str
    notices: tuple[Notice, ...] = ()
    times_s: dict[str, float] = field(default_factory=dict)
    trained_on: tuple[dict[str, Any], ...] = ()
    thresholds: Thresholds = field(default_factory=Thresholds)
    location: Location | None = None
    tumour_score: float | None = None
    runs_on: str = "torch"
    card: str = ""
    series: str | None = None
    additions: Additions = ALL
    pancreas_mask: PancreasMaskRecord | None = None

    def __repr__(self) -> str:
        """Return a short summary of the result."""
        sizes = ", ".join(
            f"{title.replace('_', ' ')} {size['volume_ml']:.1f} mL" for title, size in label_sizes(self.mask).items()
        )
        place = "" if self.location is None else f", location confidence {self.location.confidence:.2f}"
        warned = f", {counted(len(self.warnings), 'warning')}" if self.warnings else ""
        return f"<Segmentation by {self.model} of {self.scan!r}: {sizes}{place}{warned}>"

    @property
    def warnings(self) -> tuple[str, ...]:
        """Sentences of the notices that are warnings."""
        return tuple(notice.sentence for notice in self.notices if notice.severity == "warning")

    @property
    def probabilities(self) -> NDArray[np.float32]:
        """Probabilities of background, pancreas and tumour, (3, I, J, K), summing to 1."""
        dense = np.zeros((3, *self.scan.shape), np.float32)
        if self.region is not None:
            dense[(slice(1, None), *self.region.slices)] = self.region_probabilities
        np.clip(1 - dense[1] - dense[2], 0, 1, out=dense[0])
        return dense

    def measure(self, vessels: Mapping[str, Volume] | None = None) -> Measurements:
        """Measure sizes, positions and densities of pancreas and lesions.

        Args:
            vessels: Masks by name, on the scan's grid.

        Raises:
            GeometryError: A vessel's mask is on another grid.
        """
        return measure_scan(
            self.mask, scan=self.scan, tumour_probability=self._dense(Label.TUMOUR), vessels=vessels or {}
        )

    def result(
        self,
        *,
        vessels: Mapping[str, Volume] | None = None,
        identifiers: Mapping[str, str] | None = None,
        case: str | None = None,
    ) -> Result:
        """Return the contents of ``result.json``.

        Args:
            vessels: Masks by name, on the scan's grid.
            identifiers: Identifiers of patient and study, written unchanged.
            case: Name of the scan in place of its file's.

        Raises:
            GeometryError: A vessel's mask is on another grid.
        """
        with beside(lambda: volume_digest(self.scan)) as digest:
            measurements = self.measure(vessels)
        return Result(
            scan=public_name(self.scan.name) if case is None else case,
            scan_digest=digest(),
            series=self.series,
            model=self.model,
            backend=self.runs_on,
            thresholds=self.thresholds,
            measurements=label_sizes(self.mask),
            pancreas_and_lesions=measurements,
            tumour_score=self.tumour_score,
            location=self.location,
            pancreas_mask=self.pancreas_mask,
            grid=ScanGrid(shape=self.mask.shape, affine=self.mask.affine.tolist()),
            acquisition=self.scan.acquisition,
            notices=self.notices,
            warnings=self.warnings,
            times_s=self.times_s,
            peak_memory_gb=peak_memory_gb(),
            identifiers=None if identifiers is None else dict(identifiers),
            trained_on=self.trained_on,
            switched_off=self.additions.switched_off,
        )

    def save(
        self,
        folder: str | Path,
        *,
        formats: Collection[str] = ("nifti",),
        save_probabilities: bool = False,
        vessels: Mapping[str, Volume] | None = None,
        keep_identifiers: bool = False,
        case: str | None = None,
        report: bool = True,
        split_masks: bool = False,
        statistics: bool = False,
    ) -> Path:
        """Write the mask, ``overview.png``, ``report.html``, ``result.json`` and, on request, probabilities.

        Args:
            folder: Folder; made if it is missing.
            formats: Formats of the mask: ``segmentation.nii.gz``, and for a DICOM scan ``segmentation.dcm``
                (DICOM-SEG), ``rtstruct.dcm``, and ``measurements.dcm`` (DICOM SR), which also writes the DICOM-SEG to
                which it refers.
            save_probabilities: Also write ``probability_pancreas.nii.gz`` and ``probability_tumour.nii.gz``, on the
                scan's grid in steps of 0.001, for `pancascade threshold`.
            vessels: Masks by name, on the scan's grid, to measure lesions against.
            keep_identifiers: Name patient and study in ``result.json`` and the report.
            case: Name of the scan in the results; None takes its file's.
            report: Write ``overview.png`` and ``report.html``.
            split_masks: Also write a mask of each structure, ``structures/NAME.nii.gz``.
            statistics: Also write ``statistics.csv``: voxels, mL and HU of each structure.

        Returns:
            The folder.

        Raises:
            OutputError: The folder cannot be written, or a DICOM format is requested for a scan that is no DICOM.
            GeometryError: A vessel's mask is on another grid.
        """
        identifiers = read_identifiers(self.scan, series=self.series) if keep_identifiers else None
        outputs = Outputs(
            frozenset(formats),
            probabilities=save_probabilities,
            report=report,
            split_masks=split_masks,
            statistics=statistics,
        )
        return write_segmentation(
            Path(folder),
            self.result(vessels=vessels, identifiers=identifiers, case=case),
            scan=self.scan,
            mask=self.mask,
            region=self.region,
            region_probabilities=self.region_probabilities,
            card=self.card,
            outputs=outputs,
        )

    def _dense(self, label: Label) -> NDArray[np.float32]:
        """Return a label's probability on the scan's grid; memory pages without values are never used."""
        dense = np.zeros(self.scan.shape, np.float32)
        if self.region is not None:
            dense[self.region.slices] = self.region_probabilities[label - 1]
        return dense
