"""Small CT series as DICOM files, with every header a scanner would write and every fault one may have."""

from collections.abc import Sequence
from pathlib import Path

import gdcm
import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.sequence import Sequence as Items
from pydicom.uid import UID, CTImageStorage, EnhancedCTImageStorage, ExplicitVRLittleEndian, generate_uid

# What must never be seen in a message or a log.
IDENTIFIERS = {
    "PatientName": "Doe^Jane",
    "PatientID": "MRN-4711",
    "PatientBirthDate": "19500214",
    "AccessionNumber": "ACC-0815",
    "InstitutionName": "St. Elsewhere",
    "ReferringPhysicianName": "House^Gregory",
}
AXIAL = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)
SERIES_UID = "1.2.826.0.1.3680043.8.498.1"
STUDY_UID = "1.2.826.0.1.3680043.8.498.2"

_OF_THE_WHOLE_IMAGE = (
    *("Modality", "SeriesNumber", "SeriesDescription", "ImageType", "Rows", "Columns", "SamplesPerPixel"),
    *("PhotometricInterpretation", "BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation"),
)


def picture(*, rows: int = 7, columns: int = 5, slices: int = 4) -> NDArray[np.int16]:
    """(slices, rows, columns) of HU, no two the same, from -1000 upwards."""
    return (np.arange(slices * rows * columns, dtype=np.int16) * 9 - 1000).reshape(slices, rows, columns)


def normal_of(orientation: Sequence[float]) -> NDArray[np.float64]:
    return np.cross(orientation[:3], orientation[3:])


def ct_slices(
    hu: NDArray[np.int16],
    *,
    orientation: Sequence[float] = AXIAL,
    origin_mm: Sequence[float] = (-120.5, -80.25, 40.0),
    step_mm: Sequence[float] | None = None,
    spacing_mm: tuple[float, float] = (0.9, 0.7),
    slope: float = 1,
    intercept: float = -1024,
    signed: bool = False,
    bits_stored: int = 16,
    **tags: object,
) -> list[Dataset]:
    """One data set for each (rows, columns) of hu, 2.5 mm apart along the normal unless step_mm says otherwise."""
    step = 2.5 * normal_of(orientation) if step_mm is None else np.asarray(step_mm)
    slices = []
    for number, plane in enumerate(hu):
        image = Dataset()
        image.SOPClassUID, image.SOPInstanceUID = CTImageStorage, generate_uid()
        image.StudyInstanceUID, image.SeriesInstanceUID = STUDY_UID, SERIES_UID
        image.Modality, image.SeriesNumber, image.InstanceNumber = "CT", 3, number + 1
        image.SeriesDescription, image.ImageType = "Portal venous 2.5 mm", ["ORIGINAL", "PRIMARY", "AXIAL"]
        image.ImageOrientationPatient = [float(f"{cosine:.10f}") for cosine in orientation]
        image.ImagePositionPatient = [float(f"{mm:.6f}") for mm in np.asarray(origin_mm) + number * step]
        image.PixelSpacing, image.SliceThickness = list(spacing_mm), 2.5
        image.RescaleSlope, image.RescaleIntercept, image.RescaleType = slope, intercept, "HU"
        image.Rows, image.Columns, image.SamplesPerPixel = *plane.shape, 1
        image.PhotometricInterpretation = "MONOCHROME2"
        image.BitsAllocated, image.BitsStored, image.HighBit = 16, bits_stored, bits_stored - 1
        image.PixelRepresentation = int(signed)
        stored = np.rint((plane.astype(np.float64) - intercept) / slope)
        image.PixelData = stored.astype(np.int16 if signed else np.uint16).tobytes()
        for keyword, value in {**IDENTIFIERS, **tags}.items():
            setattr(image, keyword, value)
        slices.append(image)
    return slices


def save(image: Dataset, path: Path, *, syntax: UID = ExplicitVRLittleEndian) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = image.SOPClassUID, image.SOPInstanceUID
    meta.TransferSyntaxUID = syntax
    file = FileDataset(str(path), image, file_meta=meta, preamble=b"\0" * 128)
    file.save_as(path, enforce_file_format=True)
    return path


def save_all(images: Sequence[Dataset], folder: Path, *, name: str = "IM{:04d}.dcm") -> list[Path]:
    return [save(image, folder / name.format(number + 1)) for number, image in enumerate(images)]


def compressed(path: Path, kind: int) -> Path:
    """Change a file's transfer syntax in place by gdcm; kind is one of gdcm.TransferSyntax's."""
    reader = gdcm.ImageReader()
    reader.SetFileName(str(path))
    assert reader.Read()
    change = gdcm.ImageChangeTransferSyntax()
    change.SetTransferSyntax(gdcm.TransferSyntax(kind))
    change.SetInput(reader.GetImage())
    assert change.Change()
    writer = gdcm.ImageWriter()
    writer.SetFileName(str(path))
    writer.SetFile(reader.GetFile())
    writer.SetImage(change.GetOutput())
    assert writer.Write()
    return path


def other_series(kind: str, uid: str, **tags: object) -> Dataset:
    """A data set of another kind: what lies beside a CT in its folder."""
    image = Dataset()
    image.SOPClassUID, image.SOPInstanceUID = kind, generate_uid()
    image.StudyInstanceUID, image.SeriesInstanceUID = STUDY_UID, uid
    for keyword, value in {**IDENTIFIERS, **tags}.items():
        setattr(image, keyword, value)
    return image


def enhanced(slices: Sequence[Dataset], *, shared_plane: bool = True) -> Dataset:
    """The same slices as one enhanced multi-frame image (PS3.3 A.38)."""
    first = slices[0]
    image = other_series(EnhancedCTImageStorage, SERIES_UID)
    for keyword in _OF_THE_WHOLE_IMAGE:
        setattr(image, keyword, first[keyword].value)
    image.NumberOfFrames = len(slices)
    image.PixelData = b"".join(each.PixelData for each in slices)
    measures, plane = _item(first, "PixelSpacing", "SliceThickness"), _item(first, "ImageOrientationPatient")
    shared = Dataset()
    shared.PixelMeasuresSequence = Items([measures])
    if shared_plane:
        shared.PlaneOrientationSequence = Items([plane])
    image.SharedFunctionalGroupsSequence = Items([shared])
    frames = []
    for each in slices:
        frame = Dataset()
        frame.PlanePositionSequence = Items([_item(each, "ImagePositionPatient")])
        frame.PixelValueTransformationSequence = Items([_item(each, "RescaleSlope", "RescaleIntercept", "RescaleType")])
        if not shared_plane:
            frame.PlaneOrientationSequence = Items([_item(each, "ImageOrientationPatient")])
        frames.append(frame)
    image.PerFrameFunctionalGroupsSequence = Items(frames)
    return image


def _item(source: Dataset, *keywords: str) -> Dataset:
    item = Dataset()
    for keyword in keywords:
        setattr(item, keyword, source[keyword].value)
    return item


def lookup_table() -> Dataset:
    """A modality LUT (PS3.3 C.11.1) of 4096 values, each its own."""
    table = Dataset()
    table.LUTDescriptor, table.ModalityLUTType = [4096, 0, 16], "HU"
    table.LUTData = np.arange(4096, dtype=np.uint16).tobytes()
    table["LUTDescriptor"].VR, table["LUTData"].VR = "US", "OW"
    return table
