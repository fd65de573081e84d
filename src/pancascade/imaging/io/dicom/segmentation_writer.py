"""Masks as DICOM-SEG (PS3.3 A.51), through highdicom (an extra)."""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from pancascade.files.atomic import written_whole
from pancascade.imaging.io.dicom.dicom_files import quiet
from pancascade.imaging.io.dicom.patient_attributes import patient_and_study
from pancascade.imaging.io.dicom.source import DicomSource, require_references, require_source, slices_of
from pancascade.imaging.volume import Volume
from pancascade.labels import COLOURS, MEANINGS, Concept, Label
from pancascade.messages.quiet_log import quiet_log

if TYPE_CHECKING:
    from highdicom.seg import SegmentDescription
    from highdicom.sr import CodedConcept
    from pydicom import Dataset

_SERIES_NUMBER = 9001
_SERIES_DESCRIPTION = "Pancreas segmentation (pancascade, research use only)"
_CONTENT_DESCRIPTION = "Automatic segmentation, research use only"


def write_dicom_seg(
    mask: Volume, path: Path, *, source: DicomSource, model: str, version: str, pancreas_given: bool = False
) -> None:
    """Write a mask as binary DICOM-SEG; a failure leaves no partial file.

    The segment number is the label. Frames without a voxel of their segment are left out. An absent label has no
    segment, except the pancreas beside a tumour, as segments are numbered from 1. If the mask is empty, the pancreas
    has an empty frame for every slice.

    Args:
        mask: (I, J, K) of `Label`, on the grid of the source or a flipped or permuted copy of it.
        path: The file, .dcm.
        source: The series of the mask; gives references, patient and study.
        model: Name of the model, for the algorithm's parameters.
        version: Version of pancascade.
        pancreas_given: Whether the pancreas mask was given, so that its algorithm type is SEMIAUTOMATIC.

    Raises:
        OutputError: highdicom is missing, the series cannot be referred to, or the path cannot be written.
        GeometryError: The mask is on another grid.
        ValueError: a voxel value is no label.
    """
    require_source(source.path, kind="dicom-seg")
    require_references(source)
    slices = slices_of(mask, source=source)
    # The log of highdicom may quote patient names too.
    with quiet_log("highdicom", level=logging.CRITICAL + 1), quiet():
        segmentation = _segmentation(slices, source, model=model, version=version, pancreas_given=pancreas_given)
        with written_whole(path) as temporary:
            segmentation.save_as(temporary, enforce_file_format=True)


def _segmentation(
    slices: npt.NDArray[Any], source: DicomSource, *, model: str, version: str, pancreas_given: bool
) -> "Dataset":
    import highdicom
    from pydicom.uid import generate_uid

    occupied = [place for place, plane in enumerate(slices) if plane.any()]
    places = occupied or list(range(len(slices)))
    highest = max(int(slices.max()), Label.PANCREAS)
    labels = [label for label in Label if Label.BACKGROUND < label <= highest]
    images = source_images(source)
    # highdicom accepts single images or one multi-frame image; further images are references only.
    first = images if source.number_in(0) is None else images[:1]
    return highdicom.seg.Segmentation(
        source_images=first,
        further_source_images=images[len(first) :],
        pixel_array=np.ascontiguousarray(slices[places], dtype=np.uint8),
        plane_positions=[
            highdicom.PlanePositionSequence("PATIENT", list(source.frames[place].position_mm)) for place in places
        ],
        segmentation_type="BINARY",
        segment_descriptions=[
            _description(label, model=model, version=version, given=pancreas_given and label is Label.PANCREAS)
            for label in labels
        ],
        omit_empty_frames=bool(occupied),
        series_instance_uid=generate_uid(),
        series_number=_SERIES_NUMBER,
        series_description=_SERIES_DESCRIPTION,
        sop_instance_uid=generate_uid(),
        instance_number=1,
        manufacturer="pancascade",
        manufacturer_model_name="pancascade",
        software_versions=version,
        device_serial_number="1",
        content_label="PANCREAS",
        content_description=_CONTENT_DESCRIPTION,
        specific_character_set=images[0].get("SpecificCharacterSet"),
    )


def _description(label: Label, *, model: str, version: str, given: bool) -> "SegmentDescription":
    import highdicom
    from pydicom.sr.codedict import codes

    meaning = MEANINGS[label]
    red, green, blue = bytes.fromhex(COLOURS[label].removeprefix("#"))
    return highdicom.seg.SegmentDescription(
        segment_number=int(label),
        segment_label=label.title.capitalize(),
        segmented_property_category=coded(meaning.category),
        segmented_property_type=coded(meaning.kind),
        anatomic_regions=[coded(meaning.region)] if meaning.region else None,
        algorithm_type="SEMIAUTOMATIC" if given else "AUTOMATIC",
        algorithm_identification=highdicom.AlgorithmIdentificationSequence(
            name="pancascade",
            family=codes.cid7162.ArtificialIntelligence,
            version=version,
            source="pancascade",
            parameters={"model": model},
        ),
        display_color=highdicom.color.CIELabColor.from_rgb(red, green, blue),
    )


def coded(concept: Concept) -> "CodedConcept":
    """Return a SNOMED CT concept as highdicom's coded concept."""
    from highdicom.sr import CodedConcept

    return CodedConcept(concept.code, "SCT", concept.meaning)


def source_images(source: DicomSource) -> "list[Dataset]":
    """Return headers with only what highdicom reads, because it fails on damaged values elsewhere.

    Args:
        source: The series, accepted by `require_references`.

    Returns:
        One header per image, with patient, study, references and geometry.
    """
    carried = patient_and_study(source)
    places: dict[int, list[int]] = {}
    for place, dataset in enumerate(source.datasets):
        places.setdefault(id(dataset), []).append(place)
    return [_header(source, members, carried) for members in places.values()]


def _header(source: DicomSource, places: Sequence[int], carried: "Dataset") -> "Dataset":
    """Return the header of the one image that holds these slices."""
    from pydicom import Dataset

    image, wanted = source.datasets[places[0]], Dataset()
    wanted.update(carried)
    for keyword in ("SOPClassUID", "SOPInstanceUID", "SeriesInstanceUID"):
        setattr(wanted, keyword, str(image[keyword].value))
    wanted.Modality = "CT"
    wanted.Rows, wanted.Columns = source.frames[places[0]].size
    if image.get("LossyImageCompression") == "01" and "LossyImageCompressionRatio" in image:
        for keyword in ("LossyImageCompression", "LossyImageCompressionRatio", "LossyImageCompressionMethod"):
            setattr(wanted, keyword, image.get(keyword))
    measures, plane = _measures(source), _item(ImageOrientationPatient=source.frames[0].orientation)
    positions = {
        source.frames[place].index: _item(ImagePositionPatient=source.frames[place].position_mm) for place in places
    }
    if source.number_in(places[0]) is None:
        for part in (measures, plane, positions[min(positions)]):
            wanted.update(part)
        return wanted
    shared, frames = Dataset(), [Dataset() for _ in positions]
    shared.PixelMeasuresSequence, shared.PlaneOrientationSequence = [measures], [plane]
    for frame, index in zip(frames, sorted(positions), strict=True):
        frame.PlanePositionSequence = [positions[index]]
    wanted.NumberOfFrames, wanted.SharedFunctionalGroupsSequence = len(frames), [shared]
    wanted.PerFrameFunctionalGroupsSequence = frames
    return wanted


def _measures(source: DicomSource) -> "Dataset":
    frame = source.frames[0]
    step, normal = source.grid.affine[:3, 2], np.cross(source.grid.affine[:3, 0], source.grid.affine[:3, 1])
    between_mm = abs(float(step @ normal / np.linalg.norm(normal)))
    measures = _item(PixelSpacing=frame.spacing_mm, SliceThickness=[frame.thickness_mm or between_mm])
    measures.update(_item(SpacingBetweenSlices=[between_mm]))
    return measures


def _item(**numbers: Sequence[float]) -> "Dataset":
    """Return a data set of decimal strings of at most 16 characters."""
    from pydicom import Dataset
    from pydicom.valuerep import DSfloat

    item = Dataset()
    for keyword, values in numbers.items():
        strings = [DSfloat(value, auto_format=True) for value in values]
        setattr(item, keyword, strings if len(strings) > 1 else strings[0])
    return item
