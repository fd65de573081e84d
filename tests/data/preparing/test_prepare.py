import errno
import json
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

# Small data sets are made once, beside the tests of the store.
sys.path.insert(0, str(Path(__file__).parents[2] / "data" / "store"))

import nibabel as nib
import numpy as np
import pyarrow.parquet as pq
import pytest
from small_sets import SHAPE, content, make_msd, make_pictures, save, voxels

from pancascade.data.preparing.prepare import prepare
from pancascade.data.preparing.store_folder import verify
from pancascade.data.readers import msd, prepared_store, read_data_set, slice_folder
from pancascade.data.store.arrays import SliceStack
from pancascade.data.store.manifest import read_manifest
from pancascade.data.store.options import PrepareOptions
from pancascade.errors import DataError, OutputError
from pancascade.imaging.preprocessing import Window

KINDS = {
    "volumes": PrepareOptions(),
    "slices": PrepareOptions(kind="slices", keep="pancreas"),
    "pictures": PrepareOptions(kind="pictures", keep="pancreas"),
}


@pytest.fixture
def folder(tmp_path):
    return make_msd(tmp_path / "Task07_Pancreas")


def names(store):
    return [case.name for case in prepared_store(store)]


def damage(path):
    path.write_bytes(path.read_bytes()[:60])


@pytest.mark.parametrize("kind", KINDS)
def test_a_store_counts_what_it_holds(folder, tmp_path, kind):
    manifest = prepare(msd(folder), tmp_path / "store", options=KINDS[kind]).manifest
    counts = manifest.counts
    assert (counts.cases, counts.with_pancreas, counts.with_tumour) == (3, 12, 2)
    assert counts.slices == (21 if kind == "volumes" else 12)
    files = content(tmp_path / "store")
    assert counts.size_bytes == sum(len(files[file.path]) for file in manifest.files)
    assert {file.path for file in manifest.files} == {
        name for name in files if not name.startswith("records/") and name != "manifest.json"
    }
    assert manifest == read_manifest(tmp_path / "store")


def test_the_index_is_read_without_this_program(folder, tmp_path):
    prepare(msd(folder), tmp_path / "store")
    slices = pq.read_table(tmp_path / "store" / "index.parquet").to_pylist()
    cases = pq.read_table(tmp_path / "store" / "cases.parquet").to_pylist()
    image = nib.load(folder / "imagesTr" / "pancreas_001.nii.gz")
    _, labels = voxels(1, tumour=True)
    of_case = [row for row in slices if row["case"] == "pancreas_001"]
    # The file's first slice is the highest one.
    assert [row["pancreas_pixels"] for row in of_case] == [int(n) for n in (labels > 0).sum(axis=(0, 1))[::-1]]
    assert [row["tumour_pixels"] for row in of_case] == [0, 0, 0, 4, 0, 0, 0]
    assert [row["number"] for row in of_case] == list(range(7))
    middle = np.array([(SHAPE[0] - 1) / 2, (SHAPE[1] - 1) / 2])
    heights = [float(image.affine[2] @ [*middle, k, 1]) for k in range(7)][::-1]
    assert [row["z_mm"] for row in of_case] == pytest.approx(heights)
    row = cases[1]
    assert np.allclose(row["scan_grid"]["affine"], image.affine)
    assert (row["scan_grid"]["shape"], row["scan_grid"]["orientation"]) == (list(SHAPE), "PLI")
    assert (row["grid"]["shape"], row["grid"]["orientation"]) == ([10, 12, 7], "LPS")
    ml = np.abs(np.linalg.det(image.affine[:3, :3])) / 1000
    assert (row["pancreas_ml"], row["tumour_ml"]) == pytest.approx((100 * ml, 4 * ml))
    assert [file["path"] for file in row["source_files"]] == [
        "imagesTr/pancreas_001.nii.gz",
        "labelsTr/pancreas_001.nii.gz",
    ]


@pytest.mark.parametrize("kind", KINDS)
def test_one_bad_case_is_named_and_the_others_are_there(folder, tmp_path, kind):
    damage(folder / "imagesTr" / "pancreas_001.nii.gz")
    manifest = prepare(msd(folder), tmp_path / "store", options=KINDS[kind]).manifest
    (failure,) = manifest.failures
    assert failure.case == "pancreas_001"
    assert "pancreas_001.nii.gz: this is not a NIfTI image" in failure.message
    assert names(tmp_path / "store") == ["pancreas_000", "pancreas_002"]
    assert verify(tmp_path / "store") == []


def test_of_nothing_but_bad_cases_there_is_no_store(folder, tmp_path):
    for path in (folder / "imagesTr").iterdir():
        damage(path)
    with pytest.raises(DataError, match=r"no case could be prepared\. The first reason: .*pancreas_000"):
        prepare(msd(folder), tmp_path / "store")
    assert not (tmp_path / "store").exists()


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_source_gives_the_same_bytes_wherever_it_lies_and_however_many_work(folder, tmp_path, kind):
    prepare(msd(folder), tmp_path / "one", options=KINDS[kind])
    shutil.copytree(folder, tmp_path / "elsewhere" / folder.name)
    prepare(msd(tmp_path / "elsewhere" / folder.name), tmp_path / "two", options=KINDS[kind], workers=2)
    assert content(tmp_path / "one") == content(tmp_path / "two")


KILLED = """
import os, signal, sys
from pathlib import Path
from pancascade.data.preparing.prepare import prepare
from pancascade.data.readers import msd
from pancascade.data.store.options import PrepareOptions

def die(done, total):
    if done == 2:
        (Path(sys.argv[2]) / sys.argv[4] / ".0a1b2c3d.half.png").write_bytes(b"half")
        os.kill(os.getpid(), signal.SIGKILL)

options = PrepareOptions.model_validate_json(sys.argv[3])
prepare(msd(Path(sys.argv[1])), Path(sys.argv[2]), options=options, progress=die)
"""


@pytest.mark.parametrize(("kind", "part"), [("volumes", "arrays"), ("pictures", "images")])
def test_a_killed_run_is_finished_by_the_next_as_if_nothing_had_been(folder, tmp_path, kind, part):
    prepare(msd(folder), tmp_path / "whole", options=KINDS[kind])
    command = [sys.executable, "-c", KILLED, folder, tmp_path / "store", KINDS[kind].model_dump_json(), part]
    assert subprocess.run(command, check=False).returncode == -signal.SIGKILL
    assert len(list((tmp_path / "store" / "records").iterdir())) == 2
    with pytest.raises(DataError, match="interrupted"):
        prepared_store(tmp_path / "store")
    done = prepare(msd(folder), tmp_path / "store", options=KINDS[kind])
    assert done.anew == 1
    assert content(tmp_path / "store") == content(tmp_path / "whole")


def test_a_case_is_whole_or_absent(folder, tmp_path, monkeypatch):
    prepare(msd(folder), tmp_path / "whole")
    written = SliceStack.write

    def stop(stack, path):
        if path.name == "pancreas_001_labels.b2nd":
            raise KeyboardInterrupt
        return written(stack, path)

    monkeypatch.setattr(SliceStack, "write", stop)
    with pytest.raises(KeyboardInterrupt):
        prepare(msd(folder), tmp_path / "store")
    assert (tmp_path / "store" / "arrays" / "pancreas_001_hu.b2nd").is_file()
    assert [path.stem for path in (tmp_path / "store" / "records").iterdir()] == ["pancreas_000"]
    monkeypatch.undo()
    assert prepare(msd(folder), tmp_path / "store").anew == 2
    assert content(tmp_path / "store") == content(tmp_path / "whole")


def test_a_case_is_absent_while_it_is_done_again(folder, tmp_path, monkeypatch):
    prepare(msd(folder)[1:], tmp_path / "store")
    hu, _ = voxels(9, tumour=True)
    save(folder / "imagesTr" / "pancreas_001.nii.gz", hu)
    monkeypatch.setattr(SliceStack, "write", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        prepare(msd(folder)[1:], tmp_path / "store")
    assert [path.stem for path in (tmp_path / "store" / "records").iterdir()] == ["pancreas_002"]


def test_only_what_changed_is_done_again(folder, tmp_path):
    store = tmp_path / "store"
    assert prepare(msd(folder), store).anew == 3
    assert prepare(msd(folder), store).anew == 0
    _, labels = voxels(9, tumour=True)
    labels[:, :, 2] = 0
    save(folder / "labelsTr" / "pancreas_002.nii.gz", labels)
    assert prepare(msd(folder), store).anew == 1
    assert [int((one.labels > 0).any()) for one in prepared_store(store)[2].read_slices()] == [0, 1, 1, 1, 0, 0, 0]
    dataset = json.loads((folder / "dataset.json").read_text())
    dataset["labels"]["2"] = "pancreas"
    (folder / "dataset.json").write_text(json.dumps(dataset))
    changed = prepare(msd(folder), store)
    assert (changed.anew, changed.manifest.counts.with_tumour) == (3, 0)


@pytest.mark.parametrize("harm", [Path.unlink, damage])
def test_a_case_whose_files_are_gone_or_cut_is_done_again(folder, tmp_path, harm):
    store = tmp_path / "store"
    prepare(msd(folder), store)
    before = content(store)
    harm(store / "arrays" / "pancreas_001_hu.b2nd")
    assert prepare(msd(folder), store).anew == 1
    assert content(store) == before


def test_a_case_that_the_data_set_no_longer_has_leaves_the_store(folder, tmp_path):
    prepare(msd(folder), tmp_path / "store")
    done = prepare(msd(folder)[:2], tmp_path / "store")
    assert done.removed == ("pancreas_002",)
    assert names(tmp_path / "store") == ["pancreas_000", "pancreas_001"]
    assert not [name for name in content(tmp_path / "store") if "pancreas_002" in name]


def test_what_a_case_had_stays_while_its_source_cannot_be_read(folder, tmp_path):
    store, image = tmp_path / "store", folder / "imagesTr" / "pancreas_001.nii.gz"
    prepare(msd(folder), store)
    image.rename(tmp_path / "away.nii.gz")
    assert [failure.case for failure in prepare(msd(folder), store).manifest.failures] == ["pancreas_001"]
    assert names(store) == ["pancreas_000", "pancreas_002"]
    (tmp_path / "away.nii.gz").rename(image)
    assert prepare(msd(folder), store).anew == 0
    assert names(store) == ["pancreas_000", "pancreas_001", "pancreas_002"]


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (PrepareOptions(kind="slices"), "a store with kind volumes, not slices"),
        (PrepareOptions(spacing_mm=(0.8, 0.8, 2.5)), r"spacing_mm None, not \(0.8, 0.8, 2.5\)"),
    ],
)
def test_a_store_is_of_one_kind(folder, tmp_path, options, sentence):
    prepare(msd(folder), tmp_path / "store")
    before = content(tmp_path / "store")
    with pytest.raises(DataError, match=sentence):
        prepare(msd(folder), tmp_path / "store", options=options)
    assert content(tmp_path / "store") == before


def test_a_store_is_of_one_data_set(folder, tmp_path):
    prepare(msd(folder), tmp_path / "store")
    other = msd(make_msd(tmp_path / "Task99_Other"))
    with pytest.raises(DataError, match="cases of Task07_Pancreas, not of Task99_Other"):
        prepare(other, tmp_path / "store")


def test_a_folder_that_is_no_store_is_left_alone(tmp_path):
    folder = make_pictures(tmp_path / "slices")
    before = content(folder)
    cases = slice_folder(folder, window=Window())
    with pytest.raises(DataError, match=r"slices: not empty, and no store\. Choose a new folder"):
        prepare(cases, folder, options=PrepareOptions(kind="pictures"))
    assert content(folder) == before


def test_single_slices_are_no_volumes_and_are_not_resampled(tmp_path):
    cases = slice_folder(make_pictures(tmp_path / "slices"), window=Window())
    with pytest.raises(DataError, match=r"a single slice, no volume\. Prepare slices or pictures"):
        prepare(cases, tmp_path / "volumes")
    with pytest.raises(DataError, match="a single slice, which cannot be resampled"):
        prepare(cases, tmp_path / "slices_1mm", options=PrepareOptions(kind="slices", spacing_mm=(1, 1, 1)))


def test_names_that_files_cannot_tell_apart_are_refused(folder, tmp_path):
    first, second = msd(folder)[:2]
    cases = [replace(first, name="a/b"), replace(second, name="A_b")]
    with pytest.raises(DataError, match="Two cases are called a/b and A_b"):
        prepare(cases, tmp_path / "store")
    assert not (tmp_path / "store").exists()


def test_a_full_disk_ends_the_run_with_one_sentence(folder, tmp_path, monkeypatch):
    write = Path.write_bytes

    def full(path, data):
        if path.name.endswith("pancreas_001_hu.b2nd"):
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(path, data)

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(OutputError, match=r"pancreas_001_hu\.b2nd: cannot be written, the disk is full"):
        prepare(msd(folder), tmp_path / "store")
    monkeypatch.undo()
    assert prepare(msd(folder), tmp_path / "store").anew == 2


def test_files_that_changed_or_went_missing_are_found(folder, tmp_path):
    store = tmp_path / "store"
    prepare(msd(folder), store)
    seen = []
    assert verify(store, progress=lambda done, total: seen.append((done, total))) == []
    assert seen[-1] == (8, 8)
    path = store / "arrays" / "pancreas_000_hu.b2nd"
    changed = bytearray(path.read_bytes())
    changed[len(changed) // 2] ^= 1
    path.write_bytes(bytes(changed))
    (store / "arrays" / "pancreas_002_labels.b2nd").unlink()
    first, second = verify(store)
    assert "pancreas_000_hu.b2nd: not as it was written" in first
    assert "pancreas_002_labels.b2nd: missing" in second


def test_progress_counts_the_cases(folder, tmp_path):
    seen = []
    prepare(msd(folder), tmp_path / "store", progress=lambda done, total: seen.append((done, total)))
    assert seen == [(0, 3), (1, 3), (2, 3), (3, 3)]


def test_a_list_of_parts_of_scans_keeps_the_numbers_of_its_slices(folder, tmp_path):
    rows = "image,label,patient,first_slice,last_slice\n"
    rows += "imagesTr/pancreas_001.nii.gz,labelsTr/pancreas_001.nii.gz,a,2,4\n"
    (folder / "list.csv").write_text(rows)
    prepare(read_data_set(folder / "list.csv"), tmp_path / "store", options=PrepareOptions(kind="slices"))
    slices = pq.read_table(tmp_path / "store" / "index.parquet").to_pylist()
    assert [row["number"] for row in slices] == [2, 3, 4]
    assert [row["tumour_pixels"] for row in slices] == [0, 4, 0]


def test_two_preparations_of_one_store_do_not_run_at_once(folder, tmp_path):
    source, out = msd(folder), tmp_path / "store"
    refused = []

    def progress(done, total):
        with pytest.raises(OutputError, match="store: `prepare`, process") as error:
            prepare(source, out)
        refused.append(error)

    prepare(source, out, progress=progress)
    assert refused
    assert not [path.name for path in out.iterdir() if path.name.startswith(".")]
    prepare(source, out)
