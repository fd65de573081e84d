import json
import sys
from pathlib import Path

# Small data sets are made once, beside the tests of the store.
sys.path.insert(0, str(Path(__file__).parents[2] / "data" / "store"))

import nibabel as nib
import numpy as np
import pytest
from small_sets import make_msd, make_pictures

from pancascade.data.preparing.prepare import prepare
from pancascade.data.readers import Layout, msd, prepared_store, read_data_set, recognise, slice_folder
from pancascade.data.store.manifest import Manifest, write_manifest
from pancascade.data.store.options import PrepareOptions
from pancascade.errors import DataError
from pancascade.imaging.preprocessing import Window
from pancascade.imaging.volume import reorient, resample_to_spacing

GREY = Window(lower_hu=0, upper_hu=255)


@pytest.fixture
def source(tmp_path):
    return msd(make_msd(tmp_path / "Task07_Pancreas"))


@pytest.fixture
def store(tmp_path, source):
    def make(**options):
        prepare(source, tmp_path / "store", options=PrepareOptions(**options))
        return tmp_path / "store"

    return make


def assert_same_slices(found, wanted):
    assert [one.name for one in found] == [one.name for one in wanted]
    for ours, theirs in zip(found, wanted, strict=True):
        assert (ours.patient, ours.spacing_mm) == (theirs.patient, theirs.spacing_mm)
        assert (ours.hu.dtype, ours.labels.dtype) == (np.int16, np.uint8)
        assert np.array_equal(ours.hu, theirs.hu)
        assert np.array_equal(ours.labels, theirs.labels)


@pytest.mark.parametrize("kind", ["volumes", "slices"])
def test_slices_of_a_store_are_those_of_its_source(store, source, kind):
    found = prepared_store(store(kind=kind))
    for ours, theirs in zip(found, source, strict=True):
        assert (ours.name, ours.patient, ours.source) == (theirs.name, theirs.patient, theirs.source)
        assert_same_slices(ours.read_slices(), theirs.read_slices())


def test_scans_of_a_store_are_those_of_its_source_voxel_by_voxel(store, source):
    found = prepared_store(store(kind="volumes"))
    for ours, theirs in zip(found, source, strict=True):
        for one, other in zip(ours.scan.read(), theirs.scan.read(), strict=True):
            assert np.array_equal(one.voxels, other.voxels)
            assert np.array_equal(one.affine, other.affine)
        assert ours.scan.image.name == f"{ours.name}_hu.b2nd"


def test_single_slices_are_no_scan(store):
    assert all(case.scan is None for case in prepared_store(store(kind="slices")))


def test_only_the_slices_that_were_kept_are_there(store, source):
    found = prepared_store(store(kind="slices", keep="pancreas"))
    for ours, theirs in zip(found, source, strict=True):
        assert_same_slices(ours.read_slices(), [one for one in theirs.read_slices() if one.labels.any()])


def test_slices_of_a_store_tell_how_far_they_are_apart(store, source):
    found = prepared_store(store(kind="slices", keep="pancreas"))
    for ours, theirs in zip(found, source, strict=True):
        apart_mm = theirs.read_slices()[0].slice_mm
        assert [one.slice_mm for one in ours.read_slices()] == pytest.approx([apart_mm] * 4, rel=0.02)


def test_slices_between_which_others_are_left_out_stand_alone(tmp_path):
    folder = make_msd(tmp_path / "Task07_Pancreas", count=1)
    path = folder / "labelsTr" / "pancreas_000.nii.gz"
    image = nib.load(path)
    labels = np.asarray(image.dataobj).copy()
    labels[:, :, 3] = 0  # pancreas in slices 2, 4 and 5 of the file
    nib.save(nib.Nifti1Image(labels, image.affine), path)
    prepare(msd(folder), tmp_path / "store", options=PrepareOptions())
    whole, pancreas = (prepared_store(tmp_path / "store", keep=keep)[0].read_slices() for keep in ("all", "pancreas"))
    assert [one.slice_mm for one in whole] == pytest.approx([2.5] * 7, rel=0.02)
    assert [one.slice_mm for one in pancreas] == [None] * 3


def test_of_slices_that_are_not_wanted_nothing_is_read(store, source, monkeypatch):
    found = prepared_store(store(kind="slices"), keep="tumour")
    read = []
    module = sys.modules["pancascade.data.readers.prepared_store"]
    original = module.read_some

    def reported(path, at, *, digest):
        read.append((path.name, *at))
        return original(path, at, digest=digest)

    monkeypatch.setattr(module, "read_some", reported)
    slices = [case.read_slices() for case in found]
    assert [len(of_case) for of_case in slices] == [0, 1, 1]
    assert_same_slices(slices[1], [one for one in source[1].read_slices() if (one.labels == 2).any()])
    assert read == [(f"pancreas_{number:03d}_{what}.b2nd", 3) for number in (1, 2) for what in ("hu", "labels")]


def test_pictures_are_the_slices_in_their_window_with_tumours(store, source):
    window = Window(lower_hu=-100, upper_hu=155)
    found = prepared_store(store(kind="pictures", window=window))
    for ours, theirs in zip(found, source, strict=True):
        for one, other in zip(ours.read_slices(), theirs.read_slices(), strict=True):
            assert np.array_equal(one.hu, np.clip(other.hu, -100, 155))
            assert np.array_equal(one.labels, other.labels)
            assert one.spacing_mm == other.spacing_mm


def test_pictures_are_a_slice_folder_too(store, source):
    window = Window(lower_hu=-100, upper_hu=155)
    folder = store(kind="pictures", keep="pancreas", window=window)
    ours = [axial for case in slice_folder(folder, window=window) for axial in case.read_slices()]
    theirs = [axial for case in source for axial in case.read_slices() if axial.labels.any()]
    assert [(one.name, one.patient) for one in ours] == [(one.name, one.patient) for one in theirs]
    for one, other in zip(ours, theirs, strict=True):
        assert np.array_equal(one.hu, np.clip(other.hu, -100, 155))
        assert np.array_equal(one.labels > 0, other.labels > 0)


@pytest.mark.parametrize(("kind", "window"), [("slices", None), ("pictures", GREY)])
def test_a_slice_folder_comes_back_as_it_was_read(tmp_path, kind, window):
    source = slice_folder(make_pictures(tmp_path / "slices"), window=GREY, flip_rows=True)
    prepare(source, tmp_path / "store", options=PrepareOptions(kind=kind, window=window))
    found = prepared_store(tmp_path / "store")
    assert [(case.name, case.patient, case.source) for case in found] == [
        (case.name, case.patient, case.source) for case in source
    ]
    for ours, theirs in zip(found, source, strict=True):
        assert_same_slices(ours.read_slices(), theirs.read_slices())


def test_resampled_volumes_have_the_spacing_and_the_organ_at_its_place(store, source):
    found = prepared_store(store(kind="volumes", spacing_mm=(0.4, 0.5, 1.25)))
    image, labels = found[1].scan.read()
    assert image.spacing_mm == pytest.approx((0.4, 0.5, 1.25))
    assert image.orientation == "LPS"
    assert image.voxels.dtype == np.int16
    _, original = source[1].scan.read()
    for label in (1, 2):
        centres = [
            volume.affine[:3, :3] @ np.argwhere(volume.voxels == label).mean(axis=0) + volume.affine[:3, 3]
            for volume in (labels, original)
        ]
        assert np.abs(centres[0] - centres[1]).max() < 0.4
    ml = [np.count_nonzero(volume.voxels) * volume.voxel_volume_ml for volume in (labels, original)]
    assert ml[0] == pytest.approx(ml[1], rel=0.05)
    (axial,) = {one.spacing_mm for one in found[1].read_slices()}
    assert axial == pytest.approx((0.5, 0.4))


def test_interpolated_units_are_rounded_not_cut(source, store):
    folder = store(kind="volumes", spacing_mm=(0.31, 0.33, 1.1))
    exact = resample_to_spacing(reorient(source[0].scan.read()[0], "LPS"), (0.31, 0.33, 1.1)).voxels
    found = prepared_store(folder)[0].scan.read()[0].voxels
    assert np.array_equal(found, np.rint(exact))


def test_a_store_is_recognised(store):
    folder = store(kind="pictures")
    assert recognise(folder) is Layout.STORE
    assert len(read_data_set(folder)) == 3


def test_a_store_that_was_interrupted_is_refused(tmp_path):
    write_manifest(tmp_path, Manifest(state="unfinished", options=PrepareOptions(), sources=()))
    with pytest.raises(DataError, match=r"preparing was interrupted\. Run `pancascade data prepare` again"):
        prepared_store(tmp_path)


@pytest.mark.parametrize("name", ["arrays/pancreas_001_labels.b2nd", "index.parquet"])
def test_a_missing_or_truncated_file_is_named_before_anything_is_read(store, name):
    folder = store(kind="volumes")
    file, content = Path(name).name, (folder / name).read_bytes()
    (folder / name).write_bytes(content[:-1])
    with pytest.raises(DataError, match=rf"^{file}: has {len(content) - 1} bytes, but {len(content)} were written"):
        prepared_store(folder)
    (folder / name).unlink()
    with pytest.raises(DataError, match=f"^{file}: missing, but the store lists it"):
        prepared_store(folder)


def test_a_store_can_be_prepared_again_in_another_way(store, tmp_path, source):
    prepare(prepared_store(store(kind="volumes")), tmp_path / "second", options=PrepareOptions(kind="slices"))
    for ours, theirs in zip(prepared_store(tmp_path / "second"), source, strict=True):
        assert_same_slices(ours.read_slices(), theirs.read_slices())


@pytest.mark.parametrize("kind", ["volumes", "slices", "pictures"])
def test_no_flipped_bit_in_any_file_gives_other_slices(store, kind):
    folder = store(kind=kind)
    whole = [case.read_slices() for case in prepared_store(folder)]
    files = [path for path in sorted(folder.rglob("*")) if path.is_file() and path.parent.name != "records"]
    random = np.random.default_rng(0)
    for path in files:
        content = path.read_bytes()
        for place in random.integers(0, 8 * len(content), 3).tolist():
            flipped = bytearray(content)
            flipped[place // 8] ^= 1 << place % 8
            path.write_bytes(bytes(flipped))
            try:
                found = [case.read_slices() for case in prepared_store(folder)]
            except DataError as error:
                assert path.name in str(error) or path.name == "manifest.json"
                assert len(str(error)) <= 200
            else:  # files that are for other programs alone
                assert path.name == "index.csv"
                for ours, theirs in zip(found, whole, strict=True):
                    assert_same_slices(ours, theirs)
        path.write_bytes(content)


def test_a_whole_volume_of_a_damaged_file_is_refused(store):
    folder = store(kind="volumes")
    path = folder / "arrays" / "pancreas_001_hu.b2nd"
    scan = prepared_store(folder)[1].scan
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(bytes(content))
    with pytest.raises(DataError, match=r"damaged, it is not as it was written"):
        scan.read()


def test_a_store_of_an_older_version_has_no_seal_and_is_read(store):
    folder = store(kind="slices")
    manifest = json.loads((folder / "manifest.json").read_text())
    del manifest["digest"]
    (folder / "manifest.json").write_text(json.dumps(manifest))
    assert len(prepared_store(folder)) == 3
    manifest["digest"] = "0" * 32
    (folder / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(DataError, match="damaged, it is not as it was written"):
        prepared_store(folder)
