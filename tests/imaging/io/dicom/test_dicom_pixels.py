import logging
from pathlib import Path

import gdcm
import numpy as np
import pytest
from dicom_writing import IDENTIFIERS, compressed, ct_slices, enhanced, lookup_table, picture, save, save_all
from pydicom import dcmread, dcmwrite
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ImplicitVRLittleEndian,
    JPEGBaseline8Bit,
    JPEGLSLossless,
    RLELossless,
)

from pancascade.errors import NotCTError, UnreadableError
from pancascade.imaging.io.dicom.series import find_series, read_dicom_folder, read_series


def values_of(folder: Path) -> np.ndarray:
    """(slices, rows, columns), to compare with what was written."""
    return read_dicom_folder(folder).voxels.transpose(2, 1, 0)


@pytest.mark.parametrize(
    ("signed", "intercept", "bits"),
    [
        (True, 0, 16),
        (True, 0, 12),
        (True, -1024, 16),
        (True, -1024, 12),
        (False, -1024, 16),
        (False, -1024, 12),
        (False, -8192, 16),
    ],
)
def test_hounsfield_units_come_back_from_signed_and_unsigned_pixels(tmp_path, signed, intercept, bits):
    hu = picture()
    save_all(ct_slices(hu, signed=signed, intercept=intercept, bits_stored=bits), tmp_path)
    found = values_of(tmp_path)
    assert found.dtype == np.int16
    assert np.array_equal(found, hu)


@pytest.mark.parametrize("signed", [True, False])
def test_bits_above_those_stored_do_not_count(tmp_path, signed):
    hu = picture()
    slices = ct_slices(hu, signed=signed, intercept=0 if signed else -1024, bits_stored=12)
    for image in slices:
        stored = np.frombuffer(image.PixelData, dtype=np.uint16)
        image.PixelData = (stored & 0x0FFF | 0x5000).astype(np.uint16).tobytes()
    save_all(slices, tmp_path)
    assert np.array_equal(values_of(tmp_path), hu)


def test_each_slice_has_its_own_slope_and_intercept(tmp_path):
    hu = picture() * 2
    slices = [ct_slices(hu, slope=1 + number % 2, intercept=-1024 * (number + 2))[number] for number in range(4)]
    save_all(slices, tmp_path)
    found = values_of(tmp_path)
    assert found.dtype == np.int16
    assert np.array_equal(found, hu)


def test_a_fractional_slope_makes_float32_and_says_so(tmp_path, caplog):
    hu = picture()
    save_all(ct_slices(hu, slope=0.5, intercept=-1024.25), tmp_path)
    with caplog.at_level(logging.INFO):
        found = values_of(tmp_path)
    assert found.dtype == np.float32
    assert np.allclose(found, hu, atol=0.5)
    assert "the voxels are float32" in caplog.text


def test_values_too_large_for_int16_are_not_wrapped(tmp_path):
    slices = ct_slices(picture())
    pixels = np.frombuffer(slices[2].PixelData, dtype=np.uint16).copy()
    pixels[4] = 65535
    slices[2].PixelData = pixels.tobytes()
    save_all(slices, tmp_path)
    found = values_of(tmp_path)
    assert found.dtype == np.int32
    assert found.max() == 65535 - 1024
    assert found[0, 0, 0] == -1000


def test_a_missing_rescale_is_taken_as_one_and_zero_with_a_warning(tmp_path):
    slices = ct_slices(picture(), intercept=0, signed=True)
    for image in slices:
        del image.RescaleSlope, image.RescaleIntercept
    save_all(slices, tmp_path)
    volume = read_dicom_folder(tmp_path)
    assert np.array_equal(volume.voxels, picture().transpose(2, 1, 0))
    (notice,) = volume.notices
    assert (notice.code, notice.severity) == ("rescale_assumed", "warning")
    assert "RescaleSlope and RescaleIntercept are missing; taken as slope 1 and intercept 0" in notice.sentence


@pytest.mark.parametrize("keyword", ["RescaleSlope", "RescaleIntercept"])
@pytest.mark.parametrize("damage", ["missing", "empty"])
def test_a_series_whose_rescale_is_missing_in_some_slices_is_refused(tmp_path, keyword, damage):
    slices = ct_slices(picture())
    for image in slices[1:3]:
        if damage == "missing":
            del image[keyword]
        else:
            image[keyword].value = None
    save_all(slices, tmp_path)
    with pytest.raises(NotCTError, match=rf"{keyword} is missing in 2 of 4 slices, the first is IM0002\.dcm") as caught:
        read_dicom_folder(tmp_path)
    assert caught.value.code == "rescale_missing"


def test_a_table_in_place_of_the_rescale_is_refused(tmp_path):
    slices = ct_slices(picture(), ModalityLUTSequence=[lookup_table()])
    for image in slices:
        del image.RescaleSlope, image.RescaleIntercept
    save_all(slices, tmp_path)
    with pytest.raises(UnreadableError, match=r"IM0001\.dcm: a table \(ModalityLUTSequence\) stands in place"):
        read_dicom_folder(tmp_path)


@pytest.mark.parametrize("signed", [False, True])
def test_bits_above_those_stored_are_masked_in_the_one_slice_that_has_them(tmp_path, signed):
    hu = picture()
    slices = ct_slices(hu, bits_stored=12, signed=signed)
    stored = np.frombuffer(slices[2].PixelData, np.uint16).copy()
    slices[2].PixelData = (stored | np.uint16(0x5000)).tobytes()
    save_all(slices, tmp_path)
    assert np.array_equal(values_of(tmp_path), hu)


@pytest.mark.parametrize(
    ("signed", "intercept", "stored", "header"),
    [
        (True, -1024, -2000, -2000),
        (True, 0, -2000, -2000),
        (True, 0, -32768, -32768),
        (False, -1024, 63536, 63536),
        (False, -8192, 0, 0),
    ],
)
def test_padding_becomes_air(tmp_path, signed, intercept, stored, header):
    hu = picture()
    slices = ct_slices(hu, signed=signed, intercept=intercept, PixelPaddingValue=header)
    for image in slices:
        pixels = np.frombuffer(image.PixelData, dtype=np.int16 if signed else np.uint16).copy()
        pixels[:3] = stored
        image.PixelData = pixels.tobytes()
        image["PixelPaddingValue"].VR = "SS" if signed else "US"
    save_all(slices, tmp_path)
    hu[:, 0, :3] = -1024
    found = values_of(tmp_path)
    assert found.dtype == np.int16
    assert np.array_equal(found, hu)


@pytest.mark.parametrize(("signed", "header", "vr"), [(True, 63536, "US"), (False, -2000, "SS")])
def test_padding_given_in_the_other_signedness_is_understood(tmp_path, signed, header, vr):
    hu = picture()
    slices = ct_slices(hu, signed=signed, PixelPaddingValue=header)
    for image in slices:
        pixels = np.frombuffer(image.PixelData, dtype=np.uint16).copy()
        pixels[:3] = 63536
        image.PixelData = pixels.tobytes()
        image["PixelPaddingValue"].VR = vr
    save_all(slices, tmp_path)
    assert (values_of(tmp_path)[:, 0, :3] == -1024).all()


def test_a_range_of_padding_becomes_air(tmp_path):
    hu = picture()
    slices = ct_slices(hu, signed=True, PixelPaddingValue=-2000, PixelPaddingRangeLimit=-1900)
    for image in slices:
        pixels = np.frombuffer(image.PixelData, dtype=np.int16).copy()
        pixels[:3] = (-2000, -1950, -1900)
        image.PixelData = pixels.tobytes()
        for keyword in ("PixelPaddingValue", "PixelPaddingRangeLimit"):
            image[keyword].VR = "SS"
    save_all(slices, tmp_path)
    hu[:, 0, :3] = -1024
    assert np.array_equal(values_of(tmp_path), hu)


def test_padding_that_looks_like_tissue_punches_no_holes(tmp_path, caplog):
    hu = picture()
    save_all(ct_slices(hu, PixelPaddingValue=1024 + int(hu[1, 3, 2])), tmp_path)
    assert np.array_equal(values_of(tmp_path), hu)
    assert "looks like tissue; left unchanged" in caplog.text


@pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian])
@pytest.mark.parametrize("signed", [True, False])
def test_uncompressed_syntaxes_give_the_same_values(tmp_path, syntax, signed):
    for number, image in enumerate(ct_slices(picture(), signed=signed)):
        if syntax == ExplicitVRBigEndian:
            path = compressed(save(image, tmp_path / f"{number}"), gdcm.TransferSyntax.ExplicitVRBigEndian)
            assert dcmread(path).file_meta.TransferSyntaxUID == syntax
        else:
            save(image, tmp_path / f"{number}", syntax=syntax)
    found = values_of(tmp_path)
    assert found.dtype == np.dtype("=i2")
    assert np.array_equal(found, picture())


@pytest.mark.parametrize("kind", ["JPEGLSLossless", "JPEG2000Lossless", "JPEGLosslessProcess14_1", "RLELossless"])
@pytest.mark.parametrize("signed", [True, False])
@pytest.mark.parametrize("bits", [16, 12])
def test_lossless_compression_gives_the_same_values(tmp_path, kind, signed, bits):
    hu = picture(rows=32, columns=24) % 1900 - 1000
    for path in save_all(ct_slices(hu, signed=signed, bits_stored=bits), tmp_path):
        before = path.stat().st_size
        compressed(path, getattr(gdcm.TransferSyntax, kind))
        assert path.stat().st_size != before
    (series,) = find_series(tmp_path)
    assert np.array_equal(read_series(series).voxels.transpose(2, 1, 0), hu)


def test_frames_compressed_by_pydicom_in_one_file_are_read(tmp_path):
    path = save(enhanced(ct_slices(picture())), tmp_path / "x.dcm")
    image = dcmread(path)
    image.compress(RLELossless)
    image.save_as(path)
    assert np.array_equal(values_of(tmp_path), picture())


def test_more_frames_than_promised_are_refused(tmp_path):
    path = save(enhanced(ct_slices(picture())), tmp_path / "x.dcm")
    image = dcmread(path)
    image.compress(RLELossless)
    image.NumberOfFrames = 3
    del image.PerFrameFunctionalGroupsSequence[-1]
    image.save_as(path)
    with pytest.raises(UnreadableError, match=r"x\.dcm: the pixel data is missing, ends too early, or is damaged"):
        read_dicom_folder(tmp_path)


@pytest.mark.parametrize("kind", ["JPEGLSLossless", "JPEG2000Lossless"])
def test_compressed_pixels_know_their_bits_better_than_the_header(tmp_path, kind):
    hu = picture(rows=16, columns=12)
    assert hu.max() + 1024 > 4095
    for path in save_all(ct_slices(hu), tmp_path):
        image = dcmread(compressed(path, getattr(gdcm.TransferSyntax, kind)))
        image.BitsStored, image.HighBit = 12, 11
        image.save_as(path)
    assert np.array_equal(values_of(tmp_path), hu)


OVERLAY_BIT = 0x1000


@pytest.mark.parametrize("kind", ["JPEGLSLossless", "JPEG2000Lossless", "JPEGLosslessProcess14_1"])
@pytest.mark.parametrize("signed", [True, False])
def test_bits_above_those_stored_do_not_get_into_what_is_compressed(tmp_path, kind, signed):
    hu = picture(rows=32, columns=24) % 1900 - 1000
    slices = ct_slices(hu, signed=signed, bits_stored=12)
    for image in slices:
        stored = np.frombuffer(image.PixelData, dtype=np.uint16).copy()
        stored[::7] = stored[::7] & 0x0FFF | OVERLAY_BIT
        image.PixelData = stored.tobytes()
    for path in save_all(slices, tmp_path):
        compressed(path, getattr(gdcm.TransferSyntax, kind))
    assert np.array_equal(values_of(tmp_path), hu)


@pytest.mark.parametrize("kind", ["JPEGLSLossless", "JPEG2000Lossless"])
@pytest.mark.parametrize("signed", [True, False])
def test_an_overlay_that_was_compressed_with_the_pixels_and_is_named_does_not_count(tmp_path, kind, signed):
    hu = picture(rows=32, columns=24) % 1900 - 1000
    slices = ct_slices(hu, signed=signed, bits_stored=12)
    for image in slices:
        stored = np.frombuffer(image.PixelData, dtype=np.uint16).copy()
        stored[::7] = stored[::7] & 0x0FFF | OVERLAY_BIT
        image.PixelData = stored.tobytes()
        image.BitsStored, image.HighBit = 16, 15  # so that every bit of the cell is compressed
    for path in save_all(slices, tmp_path):
        image = dcmread(compressed(path, getattr(gdcm.TransferSyntax, kind)))
        image.BitsStored, image.HighBit = 12, 11
        image.add_new((0x6000, 0x0102), "US", 12)
        image.save_as(path)
    assert np.array_equal(values_of(tmp_path), hu)


@pytest.mark.parametrize("bits", [16, 12])
@pytest.mark.parametrize("signed", [True, False])
def test_jpeg_ls_of_pydicom_gives_the_same_values(tmp_path, bits, signed):
    hu = picture(rows=32, columns=24) % 1900 - 1000
    for path in save_all(ct_slices(hu, signed=signed, bits_stored=bits), tmp_path):
        image = dcmread(path)
        image.compress(JPEGLSLossless)
        image.save_as(path)
    assert np.array_equal(values_of(tmp_path), hu)


def test_a_file_without_preamble_is_read(tmp_path):
    for number, image in enumerate(ct_slices(picture())):
        dcmwrite(tmp_path / f"IM{number}", image, implicit_vr=True, little_endian=True)
        assert (tmp_path / f"IM{number}").read_bytes()[:2] == b"\x08\x00"
    assert np.array_equal(values_of(tmp_path), picture())


@pytest.mark.parametrize("kind", [None, "JPEGLSLossless", "JPEG2000Lossless", "RLELossless"])
@pytest.mark.parametrize("share", [0.99, 0.6])
def test_a_truncated_file_is_named(tmp_path, capfd, kind, share):
    files = save_all(ct_slices(picture(rows=64, columns=64)), tmp_path)
    if kind:
        compressed(files[1], getattr(gdcm.TransferSyntax, kind))
    content = files[1].read_bytes()
    headers = content.index(b"\xe0\x7f\x10\x00") + 12
    files[1].write_bytes(content[: headers + int(share * (len(content) - headers))])
    with pytest.raises(UnreadableError, match=r"IM0002\.dcm: the pixel data is missing, ends too early"):
        read_dicom_folder(tmp_path)
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("keyword", ["PixelData", "BitsStored", "BitsAllocated", "PixelRepresentation"])
def test_an_image_without_what_decoding_needs_is_refused(tmp_path, keyword):
    slices = ct_slices(picture())
    del slices[3][keyword]
    save_all(slices, tmp_path)
    with pytest.raises(UnreadableError, match=r"IM0004\.dcm: the pixel data is missing"):
        read_dicom_folder(tmp_path)


def test_fewer_frames_than_promised_are_refused(tmp_path):
    image = enhanced(ct_slices(picture()))
    image.PixelData = image.PixelData[: len(image.PixelData) // 2]
    save(image, tmp_path / "x.dcm")
    with pytest.raises(UnreadableError, match=r"x\.dcm: the pixel data is missing, ends too early"):
        read_dicom_folder(tmp_path)


def test_nonsense_in_place_of_a_jpeg_is_refused(tmp_path):
    files = save_all(ct_slices(picture()), tmp_path)
    image = dcmread(files[0])
    image.file_meta.TransferSyntaxUID = JPEGBaseline8Bit
    image.PixelData = (
        b"\xfe\xff\x00\xe0\x00\x00\x00\x00\xfe\xff\x00\xe0\x04\x00\x00\x00abcd\xfe\xff\xdd\xe0\x00\x00\x00\x00"
    )
    image["PixelData"].VR = "OB"
    image["PixelData"].is_undefined_length = True
    image.save_as(files[0])
    with pytest.raises(UnreadableError, match=r"IM0001\.dcm: the pixel data"):
        read_dicom_folder(tmp_path)


def test_a_transfer_syntax_nobody_decodes_is_named(tmp_path):
    files = save_all(ct_slices(picture()), tmp_path)
    content = files[0].read_bytes()
    files[0].write_bytes(content.replace(b"1.2.840.10008.1.2.1\0", b"1.2.840.10008.1.2.9\0"))
    with pytest.raises(UnreadableError, match=r"IM0001\.dcm: pixels stored as .* cannot be decoded\. Decompress"):
        read_dicom_folder(tmp_path)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"SamplesPerPixel": 3, "PhotometricInterpretation": "RGB"}, "in colours, not Hounsfield units"),
        ({"PhotometricInterpretation": "PALETTE COLOR"}, "in colours, not Hounsfield units"),
        ({"HighBit": 14}, "HighBit is 14 where BitsStored is 16"),
        ({"RescaleSlope": 0}, "RescaleSlope is 0"),
    ],
)
def test_what_are_not_hounsfield_units_is_refused(tmp_path, change, sentence):
    slices = ct_slices(picture())
    slices[2].update(change)
    save_all(slices, tmp_path)
    with pytest.raises(UnreadableError, match=rf"IM0003\.dcm: .*{sentence}") as caught:
        read_dicom_folder(tmp_path)
    assert not any(identifier in str(caught.value) for identifier in IDENTIFIERS.values())
