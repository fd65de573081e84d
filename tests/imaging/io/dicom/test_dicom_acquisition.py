import pytest
from dicom_writing import ct_slices, picture, save_all
from pydicom import Dataset

from pancascade.imaging.io import read_volume
from pancascade.imaging.io.dicom.acquisition import acquisition_of
from pancascade.imaging.volume.acquisition import Acquisition

SCANNER = {
    "BodyPartExamined": "ABDOMENPELVIS",
    "ContrastBolusAgent": "Iohexol 350",
    "KVP": "120",
    "SliceThickness": "3.0",
    "ConvolutionKernel": ["I31f", "3"],
    "Manufacturer": "SIEMENS Healthineers",
}


def header(**changes: object) -> Dataset:
    made = Dataset()
    for keyword, value in (SCANNER | changes).items():
        setattr(made, keyword, value)
    return made


def test_a_series_says_how_it_was_acquired(tmp_path):
    save_all(ct_slices(picture(), **SCANNER), tmp_path)
    acquisition = read_volume(tmp_path).acquisition
    assert acquisition == Acquisition(
        body_part="abdomen and pelvis",
        contrast=True,
        kv=120,
        slice_thickness_mm=3,
        kernel="I31f",
        manufacturer="Siemens",
    )
    assert str(acquisition) == "abdomen and pelvis, with contrast, 120 kV, 3 mm, I31f, Siemens"


@pytest.mark.parametrize(
    ("keyword", "value"),
    [
        ("BodyPartExamined", "JANE DOE"),
        ("ContrastBolusAgent", "none"),
        ("KVP", "-120"),
        ("SliceThickness", "1000"),
        ("ConvolutionKernel", "DOE JANE"),
        ("ConvolutionKernel", "Jane1960"),
        ("Manufacturer", "Doe"),
    ],
)
def test_free_text_and_impossible_values_are_left_out(keyword, value):
    names = {
        "BodyPartExamined": "body_part",
        "ContrastBolusAgent": "contrast",
        "KVP": "kv",
        "SliceThickness": "slice_thickness_mm",
        "ConvolutionKernel": "kernel",
        "Manufacturer": "manufacturer",
    }
    whole, changed = acquisition_of(header()), acquisition_of(header(**{keyword: value}))
    assert changed == whole.model_copy(update={names[keyword]: None})


def test_an_empty_header_says_nothing():
    assert acquisition_of(Dataset()) == Acquisition()
    assert str(Acquisition()) == ""
