"""Masks as RTSTRUCT: contours for radiotherapy (PS3.3 A.19)."""

import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from pancascade.files.atomic import written_whole
from pancascade.imaging.io.dicom.contours import outlines
from pancascade.imaging.io.dicom.dicom_files import quiet
from pancascade.imaging.io.dicom.patient_attributes import patient_and_study
from pancascade.imaging.io.dicom.source import DicomSource, require_references, require_source, slices_of
from pancascade.imaging.volume import Volume
from pancascade.labels import COLOURS, MEANINGS, Label

if TYPE_CHECKING:
    from pydicom import Dataset

_SERIES_NUMBER = 9002
_SERIES_DESCRIPTION = "Pancreas contours (pancascade, research use only)"
_STUDY_CLASS = "1.2.840.10008.3.1.2.3.1"
# In radiotherapy an organ includes its tumours.
_STRUCTURES = {
    Label.PANCREAS: ("Pancreas", "ORGAN", (Label.PANCREAS, Label.TUMOUR)),
    Label.TUMOUR: ("Pancreas tumour", "GTV", (Label.TUMOUR,)),
}


def write_rtstruct(
    mask: Volume, path: Path, *, source: DicomSource, model: str, version: str, pancreas_given: bool = False
) -> None:
    """Write a mask as closed planar contours; a failure leaves no partial file.

    "Pancreas" (ORGAN) is the pancreas with its tumours, "Pancreas tumour" (GTV) the tumours only. A voxel is in the
    mask exactly if its centre is inside a contour of its slice; holes are keyholes. Without a tumour, "Pancreas
    tumour" is absent; for an empty mask, "Pancreas" has no contours.

    Args:
        mask: (I, J, K) of `Label`, on the grid of the source or a flipped or permuted copy of it.
        path: The file, .dcm.
        source: The series of the mask; gives references, patient and study.
        model: Name of the model, for the description.
        version: Version of pancascade.
        pancreas_given: Whether the pancreas mask was given, so that its algorithm is SEMIAUTOMATIC.

    Raises:
        OutputError: the series cannot be referred to, or the path cannot be written.
        GeometryError: The mask is on another grid.
        ValueError: a voxel value is no label.
    """
    require_source(source.path, kind="rtstruct")
    require_references(source)
    slices = slices_of(mask, source=source)
    labels = [label for label in _STRUCTURES if label == Label.PANCREAS or (slices == label).any()]
    with quiet():
        structures = _structure_set(source, model=model, version=version)
        for label in labels:
            given = pancreas_given and label is Label.PANCREAS
            _add_structure(structures, label, np.isin(slices, _STRUCTURES[label][2]), source, given=given)
        with written_whole(path) as temporary:
            # Implicit VR, as explicit VR limits a contour to 64 KiB.
            structures.save_as(temporary, enforce_file_format=True)


def _structure_set(source: DicomSource, *, model: str, version: str) -> "Dataset":
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.uid import ImplicitVRLittleEndian, RTStructureSetStorage, generate_uid

    now = datetime.datetime.now()
    date, time = now.strftime("%Y%m%d"), now.strftime("%H%M%S")
    structures = Dataset()
    structures.update(patient_and_study(source))
    structures.SOPClassUID, structures.SOPInstanceUID = RTStructureSetStorage, generate_uid()
    structures.InstanceCreationDate, structures.InstanceCreationTime = date, time
    structures.Modality, structures.SeriesInstanceUID = "RTSTRUCT", generate_uid()
    structures.SeriesNumber, structures.SeriesDescription = _SERIES_NUMBER, _SERIES_DESCRIPTION
    structures.InstanceNumber, structures.OperatorsName = 1, ""
    structures.Manufacturer, structures.ManufacturerModelName = "pancascade", "pancascade"
    structures.SoftwareVersions = version
    structures.StructureSetLabel, structures.StructureSetName = "PANCREAS", "Pancreas"
    structures.StructureSetDescription = f"pancascade {version}, model {model}: automatic contours, research use only."
    structures.StructureSetDate, structures.StructureSetTime = date, time
    structures.ApprovalStatus = "UNAPPROVED"
    structures.ReferencedFrameOfReferenceSequence = [_references(source, structures)]
    for sequence in ("StructureSetROISequence", "ROIContourSequence", "RTROIObservationsSequence"):
        setattr(structures, sequence, [])
    structures.file_meta = FileMetaDataset()
    structures.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian
    return structures


def _references(source: DicomSource, structures: "Dataset") -> "Dataset":
    from pydicom import Dataset

    series, study, frame_of_reference = Dataset(), Dataset(), Dataset()
    series.SeriesInstanceUID = str(source.datasets[0].SeriesInstanceUID)
    series.ContourImageSequence = [_reference(image) for image in source.images()]
    study.ReferencedSOPClassUID, study.ReferencedSOPInstanceUID = _STUDY_CLASS, structures.StudyInstanceUID
    study.RTReferencedSeriesSequence = [series]
    frame_of_reference.FrameOfReferenceUID = structures.FrameOfReferenceUID
    frame_of_reference.RTReferencedStudySequence = [study]
    return frame_of_reference


def _reference(image: "Dataset", frame: int | None = None) -> "Dataset":
    from pydicom import Dataset

    reference = Dataset()
    reference.ReferencedSOPClassUID = str(image.SOPClassUID)
    reference.ReferencedSOPInstanceUID = str(image.SOPInstanceUID)
    if frame is not None:
        reference.ReferencedFrameNumber = frame
    return reference


def _add_structure(
    structures: "Dataset", label: Label, slices: npt.NDArray[np.bool_], source: DicomSource, *, given: bool
) -> None:
    from pydicom import Dataset

    name, kind, _ = _STRUCTURES[label]
    structure, drawing, observation, code = Dataset(), Dataset(), Dataset(), Dataset()
    structure.ROINumber = drawing.ReferencedROINumber = observation.ReferencedROINumber = int(label)
    structure.ReferencedFrameOfReferenceUID = structures.FrameOfReferenceUID
    structure.ROIName, structure.ROIGenerationAlgorithm = name, "SEMIAUTOMATIC" if given else "AUTOMATIC"
    drawing.ROIDisplayColor = list(bytes.fromhex(COLOURS[label].removeprefix("#")))
    contours = [contour for place, plane in enumerate(slices) for contour in _contours(plane, place, source)]
    if contours:
        drawing.ContourSequence = contours
    concept = MEANINGS[label].kind
    code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = concept.code, "SCT", concept.meaning
    observation.ObservationNumber, observation.RTROIInterpretedType = int(label), kind
    observation.RTROIIdentificationCodeSequence, observation.ROIInterpreter = [code], ""
    structures.StructureSetROISequence.append(structure)
    structures.ROIContourSequence.append(drawing)
    structures.RTROIObservationsSequence.append(observation)


def _contours(plane: npt.NDArray[np.bool_], place: int, source: DicomSource) -> "list[Dataset]":
    from pydicom import Dataset

    frame = source.frames[place]
    along_row, along_column = np.reshape(frame.orientation, (2, 3))
    # The column index increases along a row, and columns are PixelSpacing's second value apart.
    steps_mm = np.stack([along_row * frame.spacing_mm[1], along_column * frame.spacing_mm[0]])
    contours = []
    for polygon in outlines(plane):
        contour = Dataset()
        contour.ContourImageSequence = [_reference(source.datasets[place], source.number_in(place))]
        contour.ContourGeometricType, contour.NumberOfContourPoints = "CLOSED_PLANAR", len(polygon)
        points_mm: Any = polygon @ steps_mm + frame.position_mm
        contour.ContourData = [f"{mm:.4f}" for mm in points_mm.ravel().tolist()]
        contours.append(contour)
    return contours
