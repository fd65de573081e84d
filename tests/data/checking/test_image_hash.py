"""The hash of a real CT stays what it is, or nearly, whatever is done to the file."""

import numpy as np
import pytest
from replicas import demo_patient

from pancascade.data.checking.image_hash import image_hash, landmarks_of, picture_of, slice_hash
from pancascade.imaging.volume import Volume, reorient


@pytest.fixture(scope="module")
def ct() -> Volume:
    return demo_patient().image


def test_the_hash_is_short_text_with_its_version_in_front(ct):
    text = image_hash(ct)
    assert text.startswith("scan1:")
    assert text.isascii()
    assert len(text) < 2100
    assert text == image_hash(ct)


@pytest.mark.parametrize("axes", ["RAS", "LPS", "LAI", "SPR", "IAL"])
def test_it_does_not_depend_on_how_the_axes_are_stored(ct, axes):
    as_stored = reorient(ct, axes)
    assert as_stored.orientation == axes
    known, found = (landmarks_of(image_hash(volume)) for volume in (ct, as_stored))
    assert np.abs(known.places_mm - found.places_mm).max() <= 1
    assert (known.patches * found.patches).sum(axis=(1, 2, 3)).min() > 0.99


def test_nor_on_type_origin_or_what_lies_outside_the_window_of_soft_tissue(ct):
    moved = ct.affine.copy()
    moved[:3, 3] += (50, -20, 300)
    windowed = np.clip(ct.voxels, -150, 250).astype(np.float32)
    assert image_hash(Volume(windowed, moved)) == image_hash(ct)


def test_landmarks_lie_where_the_tissue_is_brightest_against_its_surround():
    hu = np.full((60, 50, 40), -100, np.int16)
    hu[20:50, 10:40, 10:30] = 40
    hu[29:33, 19:23, 19:23] = 180
    (place, *_) = landmarks_of(image_hash(Volume(hu, np.diag((4.0, 4.0, 4.0, 1.0))))).places_mm
    assert place == pytest.approx((31 * 4, 21 * 4, 21 * 4), abs=2)


def test_sizes_and_places_are_millimetres_from_right_posterior_inferior(ct):
    found = landmarks_of(image_hash(ct))
    assert found.size_mm == pytest.approx(np.multiply(ct.shape, ct.spacing_mm), abs=6)
    assert (found.places_mm > 0).all()
    assert (found.places_mm < found.size_mm).all()
    assert len(found.places_mm) == 40
    assert np.linalg.norm(found.patches.reshape(40, -1), axis=1) == pytest.approx(1)


def test_rods_of_the_table_are_no_landmarks(ct):
    scan_lps = reorient(ct, "RAS")
    bare = np.pad(scan_lps.voxels, ((0, 0), (24, 0), (0, 0)), constant_values=-1000)
    table = bare.copy()
    for rod in range(20, 160, 20):
        table[rod : rod + 8, 4:12] = 1000
    hashes = [image_hash(Volume(voxels, scan_lps.affine)) for voxels in (bare, table)]
    assert hashes[0] == hashes[1]


@pytest.mark.parametrize("hu", [-1000, -100, 60])
@pytest.mark.parametrize("shape", [(40, 40, 20), (5, 5, 5), (1, 1, 1)])
def test_a_scan_that_shows_nothing_has_no_landmarks(hu, shape):
    text = image_hash(Volume(np.full(shape, hu, np.int16), np.eye(4)))
    assert len(landmarks_of(text).patches) == 0


def test_a_slice_needs_no_spacing_and_no_certain_size(ct):
    hu = ct.voxels[:, :, 20].T
    text = slice_hash(hu)
    assert text.startswith("slice1:")
    assert len(text) < 200
    wide = np.pad(np.repeat(np.repeat(hu, 3, axis=0), 3, axis=1), ((50, 0), (0, 90)), constant_values=-1000)
    assert (picture_of(text) * picture_of(slice_hash(wide))).sum() > 0.95
    assert picture_of(slice_hash(hu[::-1])) == pytest.approx(picture_of(text)[::-1], abs=0.03)


def test_a_slice_without_tissue_has_no_picture():
    assert slice_hash(np.full((64, 64), -1000, np.int16)) == "slice1:"
    assert picture_of("slice1:") is None


@pytest.mark.parametrize("text", ["", "scan1:", "scan1:not base64", "scan1:AAAA", "scan9:AAAAAAAA", "slice1:AAAA"])
def test_other_texts_are_no_hashes(text):
    assert landmarks_of(text) is None
    assert picture_of(text) is None


def test_one_kind_of_hash_is_not_read_as_the_other(ct):
    assert picture_of(image_hash(ct)) is None
    assert landmarks_of(slice_hash(ct.voxels[:, :, 20])) is None
