"""A corrected result copied to where it stays when its job is removed."""

import shutil
from datetime import UTC, datetime

import numpy as np
import pytest

from pancascade.data.readers.corrected_results import corrected_results
from pancascade.errors import OutputError
from pancascade.files.output_lock import lock_output
from pancascade.results.corrections import corrections_of, keep_corrected, prepare_folder, save_correction
from result_folders import edited, labels, make_result, oblique, packed, unpacked


def corrected(result, voxels):
    return save_correction(result, packed(voxels, oblique()), author="R", now=datetime(2026, 3, 4, tzinfo=UTC))


@pytest.fixture
def job(tmp_path):
    """A result whose scan lies beside its folder, as a job's does; (result, scan)."""
    result, _ = make_result(tmp_path / "job" / "result")
    scan = tmp_path / "job" / "scan.nii.gz"
    (result / "scan.nii.gz").rename(scan)
    (result / "probability_tumour.nii.gz").write_bytes(b"large")
    return result, scan


def test_a_copy_has_all_corrections_and_the_scan_and_trains_when_the_job_is_gone(job, tmp_path):
    result, scan = job
    kept = tmp_path / "kept"
    kept.mkdir()
    for voxels in (edited(), edited(edited())[::-1].copy()):
        corrected(result, voxels)
        keep_corrected(result, scan, kept / "a")
    shutil.rmtree(tmp_path / "job")
    assert [path.name for path in kept.iterdir()] == ["a"]
    assert not (kept / "a" / "probability_tumour.nii.gz").exists()
    assert [one.number for one in corrections_of(kept / "a")] == [1, 2]
    (case,) = corrected_results(kept)
    assert np.array_equal(case.scan.read_image().voxels.shape, labels().shape)
    assert np.array_equal(unpacked(case.scan.label), edited()[::-1])


def test_a_correction_that_was_kept_before_stays_as_it_is(job, tmp_path):
    result, scan = job
    corrected(result, edited())
    for _ in range(2):
        keep_corrected(result, scan, tmp_path / "kept")
        record = tmp_path / "kept" / "corrections" / "001.json"
        record.write_text(record.read_text() + " ")
    assert record.read_text().endswith("  ")


def test_a_folder_that_cannot_be_written_is_told_and_nothing_is_left(job, tmp_path):
    result, scan = job
    corrected(result, edited())
    scan.unlink()
    with pytest.raises(OutputError, match="the folder of corrections cannot be written") as refusal:
        keep_corrected(result, scan, tmp_path / "kept" / "a")
    assert len(str(refusal.value)) <= 200
    assert not (tmp_path / "kept").exists() or not list((tmp_path / "kept").iterdir())


def test_a_copy_that_is_there_and_cannot_take_another_correction_is_told_alike(job, tmp_path):
    result, scan = job
    corrected(result, edited())
    keep_corrected(result, scan, tmp_path / "kept")
    shutil.rmtree(tmp_path / "kept" / "corrections")
    (tmp_path / "kept" / "corrections").touch()
    with pytest.raises(OutputError, match="The correction is saved with its result, but the folder of corrections"):
        keep_corrected(result, scan, tmp_path / "kept")


def test_a_killed_server_s_draft_goes_at_the_next_start_and_one_that_is_being_written_stays(tmp_path):
    left, current = tmp_path / ".pancascade-draft-1", tmp_path / ".pancascade-draft-2"
    (tmp_path / "a").mkdir()
    for draft in (left, current):
        (draft / "result").mkdir(parents=True)
    with lock_output(current, what="pancascade serve"):
        prepare_folder(tmp_path)
        assert sorted(path.name for path in tmp_path.iterdir()) == [current.name, "a"]
    prepare_folder(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["a"]
