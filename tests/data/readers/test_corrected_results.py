from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from pancascade.data.readers import Layout, corrected_results, read_data_set, recognise, require_files
from pancascade.errors import DataError, ScanError
from pancascade.imaging.volume import reorient
from pancascade.results.corrections import save_correction
from result_folders import edited, labels, make_result, oblique, packed, write_scan

NOW = datetime(2026, 3, 4, tzinfo=UTC)


def corrected(folder, voxels=None, *, scan_beside=True, seed=0, name="scan.nii.gz", times=1):
    make_result(folder, scan_beside=scan_beside, seed=seed, name=name)
    for number in range(times):
        mask = edited() if voxels is None else voxels
        mask = mask.copy()
        mask[7, 1, number] = 1
        save_correction(folder, packed(mask, oblique()), author="R", now=NOW + timedelta(hours=number))
    return folder


def test_a_tree_of_results_gives_a_case_for_each_that_has_a_correction(tmp_path):
    corrected(tmp_path / "a", seed=1)
    corrected(tmp_path / "deep" / "b", seed=2, times=2)
    make_result(tmp_path / "untouched", seed=3)
    assert recognise(tmp_path) is Layout.CORRECTIONS
    first, second = read_data_set(tmp_path)
    assert (first.name, second.name, first.patient, second.patient) == ("a", "b", "a", "b")
    assert [path.name for path in second.files] == ["scan.nii.gz", "002.nii.gz"]
    image, found = second.scan.read_ct()
    expected = edited()
    expected[7, 1, 1] = 1
    assert np.array_equal(found.voxels, expected)
    assert image.on_same_grid_as(found)


def test_a_single_result_is_a_data_set_too(tmp_path):
    (case,) = read_data_set(corrected(tmp_path / "only"))
    assert (case.name, case.source) == ("only", "only")


def test_slices_show_the_newest_labels_where_the_scan_shows_them(tmp_path):
    folder = corrected(tmp_path / "a")
    (case,) = corrected_results(tmp_path)
    slices = case.read_slices()
    image, found = case.scan.read()
    scan_lps, marked = reorient(image, "LPS"), reorient(found, "LPS")
    assert folder.is_dir()
    for k, axial in enumerate(slices):
        assert np.array_equal(axial.hu, scan_lps.voxels[:, :, k].T)
        assert np.array_equal(axial.labels, marked.voxels[:, :, k].T)


def test_a_scan_is_found_where_it_was_when_it_was_segmented(tmp_path):
    from pancascade.files.scan_place import scan_place
    from pancascade.results.result import read_result, write_result

    folder = corrected(tmp_path / "out" / "a", scan_beside=False)
    (tmp_path / "Doe").mkdir()
    write_scan(tmp_path / "Doe" / "ct.nii.gz")
    place = scan_place(tmp_path / "Doe" / "ct.nii.gz", seen_from=folder)
    write_result(read_result(folder).model_copy(update={"scan_place": place}), folder / "result.json")
    (case,) = corrected_results(tmp_path / "out")
    assert case.scan.read()[0].shape == edited().shape


def test_a_list_says_where_scans_are_and_whose(tmp_path):
    for name in ("a", "b"):
        corrected(tmp_path / "out" / name, scan_beside=False, seed=ord(name))
        write_scan(tmp_path / f"{name}_ct.nii.gz", seed=ord(name))
    listing = "case,input,patient\na,../a_ct.nii.gz,p1\nb,../b_ct.nii.gz,p1\n"
    (tmp_path / "out" / "scans.csv").write_text(listing)
    cases = corrected_results(tmp_path / "out")
    assert [case.patient for case in cases] == ["p1", "p1"]
    require_files(cases)
    assert all(case.scan.read() for case in cases)


def test_a_folder_of_scans_is_matched_by_name_and_else_by_content(tmp_path):
    corrected(tmp_path / "out" / "case-1", scan_beside=False, seed=1, name="Scan7.nii.gz")
    corrected(tmp_path / "out" / "case-2", scan_beside=False, seed=2, name="case-2")
    (tmp_path / "scans" / "x").mkdir(parents=True)
    write_scan(tmp_path / "scans" / "scan7.nii.gz", seed=1)
    write_scan(tmp_path / "scans" / "x" / "whatever.nii.gz", seed=2)
    (tmp_path / "scans" / "damaged.nii.gz").write_bytes(b"x")
    cases = corrected_results(tmp_path / "out", scans=tmp_path / "scans")
    assert [case.scan.image.name for case in cases] == ["scan7.nii.gz", "whatever.nii.gz"]
    assert all(case.scan.read() for case in cases)


def test_scans_that_are_nowhere_are_named_in_one_sentence(tmp_path):
    for name in "abcde":
        corrected(tmp_path / name, scan_beside=False, seed=ord(name))
    with pytest.raises(DataError, match=r"a, b, c and 2 more: the scan is neither.*Give --scans") as error:
        corrected_results(tmp_path)
    assert len(str(error.value)) <= 200
    with pytest.raises(DataError, match="no such file or folder"):
        corrected_results(tmp_path, scans=tmp_path / "nowhere")
    (tmp_path / "scans.csv").write_text("case,input\na,x.nii.gz\nA,y.nii.gz\n")
    with pytest.raises(DataError, match="names its case a second time"):
        corrected_results(tmp_path)


def test_another_scan_than_the_corrected_one_is_refused_when_it_is_read(tmp_path):
    folder = corrected(tmp_path / "a")
    write_scan(folder / "scan.nii.gz", seed=99)
    (case,) = corrected_results(tmp_path)
    with pytest.raises(DataError, match="not the scan that was segmented and corrected"):
        case.scan.read()


def test_one_scan_that_was_segmented_twice_is_one_patient(tmp_path):
    corrected(tmp_path / "a", seed=5)
    corrected(tmp_path / "b", seed=5)
    assert {case.patient for case in corrected_results(tmp_path)} == {"a"}


def test_damage_and_a_tree_without_corrections_are_one_sentence(tmp_path):
    make_result(tmp_path / "a")
    with pytest.raises(DataError, match="no result here has a correction"):
        corrected_results(tmp_path)
    corrected(tmp_path / "a")
    (tmp_path / "a" / "corrections" / "001.nii.gz").write_bytes(b"")
    with pytest.raises(ScanError, match="missing or not the one that was saved"):
        corrected_results(tmp_path)


def test_labels_of_the_test_are_a_tumour_inside_a_pancreas():
    assert set(np.unique(labels())) == {0, 1, 2}
