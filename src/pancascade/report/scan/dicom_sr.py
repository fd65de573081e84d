"""Write measurements as DICOM SR (PS3.16 TID 1500), with highdicom (an extra)."""

import logging
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pancascade.files.atomic import written_whole
from pancascade.imaging.io.dicom.dicom_files import quiet
from pancascade.imaging.io.dicom.header_text import text_of
from pancascade.imaging.io.dicom.segmentation_writer import coded, source_images
from pancascade.imaging.io.dicom.source import DicomSource, require_references, require_source
from pancascade.imaging.volume import Volume
from pancascade.labels import MEANINGS, Concept, Label
from pancascade.messages.quiet_log import quiet_log
from pancascade.report.scan.sr_measurements import LENGTH, LONG_AXIS, SHORT_AXIS, VOLUME, sr_mean_hu, sr_measurement
from pancascade.results.measurements import Lesion, Measurements, axial_diameters
from pancascade.results.measurements.table import Part

if TYPE_CHECKING:
    from highdicom.sr import Measurement, MeasurementReport, ObservationContext
    from pydicom import Dataset

_SERIES_NUMBER = 9003
_SERIES_DESCRIPTION = "Pancreas measurements (pancascade, research use only)"
_DEVICE_UID = "2.25.199811370517327349541868432463217741827"
"""UID of pancascade as observer; the same in all of its reports (PS3.5 B.2)."""

PARTS: dict[Part, Concept] = {
    "head": Concept("64163001", "Head of pancreas"),
    "body": Concept("40133006", "Body of pancreas"),
    "tail": Concept("73239005", "Tail of pancreas"),
}
"""SNOMED CT codes of the parts of the pancreas."""


def write_dicom_sr(
    measurements: Measurements,
    path: Path,
    *,
    mask: Volume,
    segmentation: Path,
    source: DicomSource,
    model: str,
    version: str,
) -> None:
    """Write measurements as a Comprehensive SR with the template "Measurement Report", whole or not at all.

    There is a group of measurements for the pancreas, which refers to segment 1 of the DICOM-SEG, and one for each
    lesion, which refers to segment 2. The lesions share that segment, so the name of a group says in which image its
    lesion is longest. With lesions, the group of the pancreas holds the volume of its segment, the parenchyma; a
    further group without a segment holds the sizes of the pancreas with its tumours. If nothing was found, the volume
    is 0. The report is preliminary and unverified.

    Args:
        measurements: Measurements of the mask.
        path: The file, .dcm.
        mask: (I, J, K) of `Label`, on the grid of the source or a flipped or permuted copy of it.
        segmentation: The mask as DICOM-SEG, written before.
        source: The series that the mask was made on; gives references, patient and study.
        model: Name of the model, for the algorithm's parameters.
        version: Version of pancascade.

    Raises:
        OutputError: highdicom is missing, the series cannot be referred to, or the path cannot be written.
        GeometryError: The mask is on another grid.

    Source: DICOM PS3.16, TID 1500, TID 1411 and TID 1501.
    """
    require_source(source.path, kind="dicom-sr")
    require_references(source)
    # highdicom also logs names that it finds invalid.
    with quiet_log("highdicom", level=logging.CRITICAL + 1), quiet():
        report = _document(measurements, mask, segmentation, source, algorithm={"model": model, "version": version})
        with written_whole(path) as temporary:
            report.save_as(temporary, enforce_file_format=True)


def _document(
    measurements: Measurements, mask: Volume, segmentation: Path, source: DicomSource, *, algorithm: dict[str, str]
) -> "Dataset":
    import highdicom
    import pydicom
    from pydicom.uid import generate_uid

    images, segments = source_images(source), pydicom.dcmread(segmentation, stop_before_pixels=True)
    groups = [*_organ_groups(measurements, mask, segments, source, algorithm)]
    groups += [_lesion_group(lesion, segments, source, algorithm) for lesion in measurements.lesions]
    return highdicom.sr.ComprehensiveSR(
        evidence=[*images, segments],
        content=_content(groups, algorithm["version"]),
        series_instance_uid=generate_uid(),
        series_number=_SERIES_NUMBER,
        series_description=_SERIES_DESCRIPTION,
        sop_instance_uid=generate_uid(),
        instance_number=1,
        manufacturer="pancascade",
        manufacturer_model_name="pancascade",
        software_versions=algorithm["version"],
        device_serial_number="1",
        is_complete=True,
        specific_character_set=images[0].get("SpecificCharacterSet"),
    )


def _content(groups: Sequence[Any], version: str) -> "MeasurementReport":
    import highdicom
    from pydicom.sr.codedict import codes

    return highdicom.sr.MeasurementReport(
        observation_context=_observer(version),
        procedure_reported=codes.LN.CTUnspecifiedBodyRegion,
        imaging_measurements=groups,
        title=codes.DCM.ImagingMeasurementReport,
    )


def _observer(version: str) -> "ObservationContext":
    import highdicom
    from pydicom.sr.codedict import codes

    device = highdicom.sr.DeviceObserverIdentifyingAttributes(
        uid=_DEVICE_UID, name="pancascade", manufacturer_name="pancascade", model_name=f"pancascade {version}"
    )
    return highdicom.sr.ObservationContext(
        observer_device_context=highdicom.sr.ObserverContext(
            observer_type=codes.DCM.Device, observer_identifying_attributes=device
        )
    )


def _organ_groups(
    measurements: Measurements, mask: Volume, segments: "Dataset", source: DicomSource, algorithm: dict[str, str]
) -> Iterator[Any]:
    import highdicom

    organ = measurements.organ
    whole: list[Measurement] = []
    if organ is not None:
        diameters = axial_diameters(mask.with_voxels(mask.voxels > 0))
        whole = [
            sr_measurement(VOLUME, organ.volume_ml, "mL"),
            *([] if organ.length_mm is None else [sr_measurement(LENGTH, organ.length_mm, "mm")]),
            sr_measurement(LONG_AXIS, diameters.long_mm, "mm"),
            sr_measurement(SHORT_AXIS, diameters.short_mm, "mm"),
        ]
    mean = [] if organ is None or organ.mean_hu is None else [sr_mean_hu(organ.mean_hu)]
    of_segment = [sr_measurement(VOLUME, 0.0 if organ is None else organ.parenchyma_ml, "mL")]
    own = [*(of_segment if measurements.lesions or not whole else whole), *mean]
    yield highdicom.sr.VolumetricROIMeasurementsAndQualitativeEvaluations(
        tracking_identifier=_tracked("Pancreas"),
        referenced_segment=_referenced(segments, source, Label.PANCREAS),
        **_found(Label.PANCREAS, algorithm),
        measurements=own,
    )
    if measurements.lesions:
        yield highdicom.sr.MeasurementsAndQualitativeEvaluations(
            tracking_identifier=_tracked("Pancreas with tumours"),
            **_found(Label.PANCREAS, algorithm),
            measurements=whole,
        )


def _lesion_group(lesion: Lesion, segments: "Dataset", source: DicomSource, algorithm: dict[str, str]) -> Any:
    import highdicom
    from pydicom.sr.codedict import codes

    site = MEANINGS[Label.PANCREAS].kind if lesion.part is None else PARTS[lesion.part]
    measurements = [
        sr_measurement(VOLUME, lesion.volume_ml, "mL"),
        sr_measurement(LONG_AXIS, lesion.diameters.long_mm, "mm"),
        sr_measurement(SHORT_AXIS, lesion.diameters.short_mm, "mm"),
        sr_measurement(codes.IBSI.Maximum3DDiameterOfAMesh, lesion.diameter_3d_mm, "mm"),
        *([] if lesion.mean_hu is None else [sr_mean_hu(lesion.mean_hu)]),
    ]
    return highdicom.sr.VolumetricROIMeasurementsAndQualitativeEvaluations(
        tracking_identifier=_tracked(f"Lesion {lesion.number}{_image_of(lesion, source)}"),
        referenced_segment=_referenced(segments, source, Label.TUMOUR),
        finding_sites=[highdicom.sr.FindingSite(anatomic_location=coded(site))],
        **_found(Label.TUMOUR, algorithm),
        measurements=measurements,
    )


def _found(label: Label, algorithm: dict[str, str]) -> dict[str, Any]:
    """Return what a group describes, and the algorithm that found it."""
    import highdicom

    return {
        "finding_type": coded(MEANINGS[label].kind),
        "finding_category": coded(MEANINGS[label].category),
        "algorithm_id": highdicom.sr.AlgorithmIdentification(
            name="pancascade", version=algorithm["version"], parameters=[f"model={algorithm['model']}"]
        ),
    }


def _tracked(name: str) -> Any:
    import highdicom
    from pydicom.uid import generate_uid

    return highdicom.sr.TrackingIdentifier(uid=generate_uid(), identifier=name)


def _referenced(segments: "Dataset", source: DicomSource, label: Label) -> Any:
    import highdicom

    return highdicom.sr.ReferencedSegment(
        sop_class_uid=segments.SOPClassUID,
        sop_instance_uid=segments.SOPInstanceUID,
        segment_number=int(label),
        source_series=highdicom.sr.SourceSeriesForSegmentation(str(source.datasets[0].SeriesInstanceUID)),
    )


def _image_of(lesion: Lesion, source: DicomSource) -> str:
    """Return the number by which viewers show the image in which a lesion is longest: lesions share one segment."""
    frame = source.frames[0]
    normal = np.cross(frame.orientation[:3], frame.orientation[3:])
    end_mm = np.multiply(lesion.diameters.long_ends_mm[0], (-1, -1, 1))
    distances_mm = [abs(float(normal @ np.subtract(end_mm, each.position_mm))) for each in source.frames]
    place = int(np.argmin(distances_mm))
    inside, number = source.number_in(place), text_of(source.datasets[place], "InstanceNumber")
    if inside is not None:
        return f", frame {inside}"
    return f", image {number}" if number.isdecimal() else ""
