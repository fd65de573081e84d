"""A small file that unpacks to more than the memory is left out before it is unpacked."""

import zlib
from io import BytesIO

import pytest
from dicom_phantoms import STUDY
from dicom_writing import ct_slices, picture, save, save_all
from pydicom.uid import DeflatedExplicitVRLittleEndian, ExplicitVRLittleEndian

from pancascade.errors import ScanError
from pancascade.imaging.io import read_volume
from pancascade.imaging.io.dicom import deflated
from pancascade.imaging.io.dicom.dicom_files import read_header


def of_size(folder, size: int, *, syntax=DeflatedExplicitVRLittleEndian):
    """A slice whose data set has at least this size, unpacked."""
    image = ct_slices(picture(), **STUDY)[0]
    image.add_new(0x00091010, "OB", bytes(size))
    folder.mkdir(parents=True, exist_ok=True)
    return save(image, folder / "1.dcm", syntax=syntax)


@pytest.fixture
def limit(monkeypatch):
    monkeypatch.setattr(deflated, "MOST_BYTES", 100_000)


@pytest.mark.parametrize(
    ("size", "syntax", "said"),
    [
        (1000, DeflatedExplicitVRLittleEndian, False),
        (200_000, DeflatedExplicitVRLittleEndian, True),
        (200_000, ExplicitVRLittleEndian, False),  # as large as it says
    ],
)
def test_only_what_unpacks_to_more_than_the_limit_is_too_much(tmp_path, limit, size, syntax, said):
    file = BytesIO(of_size(tmp_path, size, syntax=syntax).read_bytes())
    assert deflated.inflates_too_far(file) is said
    assert file.tell() == 0
    assert (read_header(tmp_path / "1.dcm", tags=("SOPClassUID", "Modality")) is None) is said


def test_no_more_than_a_part_of_it_is_unpacked_at_once(tmp_path, monkeypatch, limit):
    asked, begin = [], zlib.decompressobj

    class Counted:
        def __init__(self, bits):
            self._object = begin(bits)

        def decompress(self, part, most):
            asked.append(most)
            return self._object.decompress(part, most)

        @property
        def unconsumed_tail(self):
            return self._object.unconsumed_tail

    path = of_size(tmp_path, 50_000_000)
    monkeypatch.setattr(deflated.zlib, "decompressobj", Counted)
    with path.open("rb") as file:
        assert deflated.inflates_too_far(file)
    assert asked == [1 << 20]


def test_damaged_files_are_left_to_their_reader(limit):
    for content in (b"", bytes(200), bytes(128) + b"DICM", bytes(128) + b"DICM\x02\x00\x10\x00UI\x10\x00short"):
        assert deflated.inflates_too_far(BytesIO(content)) is False


def test_a_series_of_which_a_slice_unpacks_to_too_much_is_not_read(tmp_path, limit):
    of_size(tmp_path / "series", 200_000)
    with pytest.raises(ScanError, match="no DICOM series"):
        read_volume(tmp_path / "series")
    save_all(ct_slices(picture(), **STUDY), tmp_path / "whole")
    assert read_volume(tmp_path / "whole").shape
