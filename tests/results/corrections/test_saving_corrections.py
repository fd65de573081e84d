import gzip
import json
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta, timezone

import nibabel as nib
import numpy as np
import pytest

from pancascade.errors import PancascadeError
from pancascade.files.digests import content_digest
from pancascade.files.output_lock import lock_output
from pancascade.results.corrections import corrections_of, newest_correction, save_correction
from result_folders import SHAPE, edited, labels, make_result, oblique, packed, unpacked

NOW = datetime(2026, 3, 4, 15, 30, tzinfo=timezone(timedelta(hours=2)))


@pytest.fixture
def result(tmp_path):
    return make_result(tmp_path / "case-1")[0]


def save(result, voxels=None, affine=None, **changes):
    sent = packed(edited() if voxels is None else voxels, oblique() if affine is None else affine)
    return save_correction(result, sent, **{"author": "A. Reader", "now": NOW} | changes)


def refused(result, sent, author="A. Reader"):
    before = sorted(path.name for path in result.rglob("*"))
    with pytest.raises(PancascadeError) as error:
        save_correction(result, sent, author=author, now=NOW)
    assert sorted(path.name for path in result.rglob("*")) == before
    assert len(str(error.value)) <= 200
    return str(error.value)


def test_a_correction_lies_beside_the_original_with_author_time_and_digests(result):
    original = (result / "segmentation.nii.gz").read_bytes()
    path = save(result)
    assert path == result / "corrections" / "001.nii.gz"
    assert np.array_equal(unpacked(path), edited())
    assert np.allclose(nib.load(path).affine, oblique(), atol=1e-4)
    reported = json.loads((result / "corrections" / "001.json").read_text())
    assert (reported["author"], reported["saved"]) == ("A. Reader", "2026-03-04T13:30:00Z")
    assert reported["original_mask"] == content_digest(result / "segmentation.nii.gz")
    assert reported["scan_digest"] == json.loads((result / "result.json").read_text())["scan_digest"]
    assert reported["voxels"] == {"pancreas": int((edited() == 1).sum()), "tumour": int((edited() == 2).sum())}
    assert (result / "segmentation.nii.gz").read_bytes() == original
    assert sorted(path.name for path in (result / "corrections").iterdir()) == ["001.json", "001.nii.gz"]


@pytest.mark.parametrize("axes", [(0, 1, 2), (2, 0, 1)])
@pytest.mark.parametrize("flips", [(), (0,), (1, 2)])
def test_labels_whose_axes_are_turned_or_mirrored_come_back_voxel_for_voxel(result, axes, flips):
    codes = np.array([[axis, -1 if number in flips else 1] for number, axis in enumerate(axes)], float)
    image = nib.Nifti1Image(edited(), oblique()).as_reoriented(codes)
    path = save_correction(result, gzip.compress(image.to_bytes()), author="R", now=NOW)
    assert np.array_equal(unpacked(path), edited())


def test_a_header_that_was_rounded_is_the_same_grid(result):
    assert save(result, affine=oblique() + np.diag([1e-4, 1e-4, 1e-4, 0])).is_file()


def test_a_label_map_of_another_place_or_mirrored_in_place_is_refused(result):
    moved, mirrored = oblique(), oblique() @ np.diag([-1, 1, 1, 1])
    moved[0, 3] += 0.4
    for affine in (moved, mirrored):
        assert "not on the grid of the result's scan" in refused(result, packed(edited(), affine))
    other = np.zeros((9, 8, 6), np.uint8)
    assert "9 x 8 x 6 voxels" in refused(result, packed(other, oblique()))


def test_other_labels_than_ours_are_refused_and_floats_of_whole_numbers_are_not(result):
    strange = edited()
    strange[0, 0, 0] = 3
    assert "holds the value 3" in refused(result, packed(strange, oblique()))
    between = edited().astype(np.float32)
    between[0, 0, 0] = 0.5
    assert "holds the value 0.5" in refused(result, packed(between, oblique()))
    between[0, 0, 0] = np.nan
    assert "holds the value nan" in refused(result, packed(between, oblique()))
    assert unpacked(save(result, edited().astype(np.float32))).dtype == np.uint8


def test_what_is_no_whole_gzip_nifti_is_refused(result):
    whole = packed(edited(), oblique())
    for sent, sentence in (
        (b"", "not a gzip file"),
        (b"<html>", "not a gzip file"),
        (whole[:-20], "ends too early or is damaged"),
        (whole[:-8] + b"\0\0\0\0" + whole[-4:], "ends too early or is damaged"),
        (gzip.compress(b"no image"), "not a NIfTI image"),
        (gzip.compress(gzip.decompress(whole)[:-30]), "ends too early"),
        (gzip.compress(bytes(40_000_000)), "unpacks to more voxels than the scan has"),
    ):
        assert sentence in refused(result, sent)


def test_a_file_larger_than_any_label_map_is_not_even_unpacked(result, monkeypatch):
    monkeypatch.setattr("pancascade.results.corrections.packed_label_map.MOST_BYTES", 100)
    assert "larger than" in refused(result, packed(edited(), oblique()))


def test_what_was_not_changed_is_not_saved(result):
    assert "the same as the mask that the model made" in refused(result, packed(labels(), oblique()))
    save(result)
    assert "the same as correction 001" in refused(result, packed(edited(), oblique()))
    save(result, labels())  # back to the original is a change
    assert newest_correction(result).number == 2


@pytest.mark.parametrize("author", ["", "  ", "x" * 61, "two\nlines", "../up", "<b>", "nul\0"])
def test_an_author_is_a_short_plain_name(result, author):
    assert "author: give the reader's name" in refused(result, packed(edited(), oblique()), author)


def test_names_of_any_language_are_recorded_as_given(result):
    save(result, author=" Jürgen O'Neill-李 ")
    assert newest_correction(result).record.author == "Jürgen O'Neill-李"


def test_nothing_that_a_header_tells_is_kept(result):
    image = nib.Nifti1Image(edited(), oblique())
    image.header["descrip"] = b"Doe^John"
    image.header.extensions.append(nib.nifti1.Nifti1Extension("comment", b"Doe^John 1950"))
    path = save_correction(result, gzip.compress(image.to_bytes()), author="R", now=NOW)
    assert b"Doe" not in gzip.decompress(path.read_bytes())


def test_numbers_go_up_and_a_file_that_a_killed_run_left_is_neither_read_nor_replaced(result):
    save(result)
    (result / "corrections" / "004.nii.gz").write_bytes(b"half")
    assert save(result, labels()).name == "005.nii.gz"
    assert (result / "corrections" / "004.nii.gz").read_bytes() == b"half"
    assert [each.number for each in corrections_of(result)] == [1, 5]


def test_two_at_once_do_not_collide(result):
    masks = []
    for place in range(6):
        masks.append(labels())
        masks[-1][7, place, 4] = 1
    with ThreadPoolExecutor(6) as pool:
        paths = list(pool.map(lambda mask: save(result, mask), masks))
    assert sorted(path.name for path in paths) == [f"{number:03d}.nii.gz" for number in range(1, 7)]
    assert all(np.array_equal(unpacked(path), mask) for path, mask in zip(paths, masks, strict=True))


def test_a_folder_that_another_run_holds_is_left_alone(result):
    with lock_output(result, what="segment"), pytest.raises(PancascadeError, match="another program is writing there"):
        save(result)
    assert not (result / "corrections").exists()


def test_a_folder_without_a_result_is_refused(tmp_path):
    with pytest.raises(PancascadeError, match=r"result\.json in empty: not readable"):
        save(tmp_path / "empty")


def test_a_record_or_label_map_that_was_changed_is_no_correction(result):
    path = save(result)
    record = path.parent / "001.json"
    whole = record.read_text()
    record.write_text(whole.replace('"author"', '"nobody"'))
    with pytest.raises(PancascadeError, match=r"001\.json of case-1: not readable"):
        newest_correction(result)
    record.write_text(whole)
    path.write_bytes(b"other")
    with pytest.raises(PancascadeError, match="missing or not the one that was saved"):
        newest_correction(result)


def test_times_without_a_zone_are_local_and_become_utc(result):
    save(result, now=datetime(2026, 1, 1, 12, 0))
    assert newest_correction(result).record.saved.tzinfo == UTC


def test_the_grid_of_the_test_is_oblique_and_mirrored():
    assert np.linalg.det(oblique()[:3, :3]) < 0
    assert edited().shape == SHAPE
