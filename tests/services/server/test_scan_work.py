"""The work on an upload: what is segmented, what is kept, what is refused."""

import gzip
import io
import json
import zipfile

import nibabel as nib
import numpy as np
import pytest
from abdomen_phantom import abdomen
from dicom_writing import IDENTIFIERS, ct_slices, save_all
from label_server import oblique_scan
from phantom_work import work
from running import running

from pancascade.errors import UnknownModelError
from pancascade.imaging.io import read_volume, write_volume
from pancascade.imaging.volume.digest import volume_digest
from pancascade.segmentation.batch.batch_options import SegmentOptions
from pancascade.services.server import scan_work
from pancascade.services.server.job_folder import JobFolder
from pancascade.services.server.scan_work import ScanTask, segment_upload


@pytest.fixture
def task(tmp_path, monkeypatch):
    """Makes a task of an upload; what the work tells of itself is in `reported`."""
    scan_work._loaded.cache_clear()
    reported = []
    monkeypatch.setattr(scan_work, "send_to_parent", reported.append)

    def make(content: bytes, kind: str = "nifti-gz") -> ScanTask:
        folder = JobFolder.new(tmp_path)
        folder.upload(kind).write_bytes(content)
        return ScanTask(folder.path, folder.upload(kind), "scan-7", None, SegmentOptions())

    make.reported = reported
    yield make
    scan_work._loaded.cache_clear()


def nifti(volume, tmp_path) -> bytes:
    write_volume(volume, tmp_path / "x.nii.gz")
    return (tmp_path / "x.nii.gz").read_bytes()


def dicom(volume, tmp_path) -> bytes:
    orders = ct_slices(
        volume.voxels.transpose(2, 1, 0),
        spacing_mm=(volume.spacing_mm[1], volume.spacing_mm[0]),
        origin_mm=volume.affine[:3, 3] * (-1, -1, 1) + 0.0123456789,
        step_mm=(0, 0, volume.spacing_mm[2]),
    )
    save_all(orders, tmp_path / "in" / "Doe^Jane")
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for path in (tmp_path / "in").rglob("*.dcm"):
            archive.write(path, str(path.relative_to(tmp_path)))
    return packed.getvalue()


def test_a_series_of_dicom_becomes_a_result_without_a_word_of_whose_it_is(task, tmp_path):
    volume, truth = abdomen()
    one = task(dicom(volume, tmp_path), "dicom-zip")
    before = set(tmp_path.iterdir())
    outcome = work(one)
    assert (outcome.state, outcome.reason) == ("done", None), outcome.reason
    assert outcome.summary.lesions == 1
    folder = JobFolder(one.folder)
    result = json.loads((folder.result / "result.json").read_text())
    scan, mask = read_volume(folder.scan), read_volume(folder.result / "segmentation.nii.gz")
    assert np.array_equal(scan.voxels, volume.voxels) and np.array_equal(mask.voxels > 0, truth > 0)
    # The result is that of the scan which is kept, and says where it lies.
    assert volume_digest(scan) == result["scan_digest"]
    assert (result["scan"], result["scan_place"]) == ("scan-7", "../scan.nii.gz")
    assert (folder.result / "probability_tumour.nii.gz").exists()
    folder.clear_scratch()
    for path in folder.path.rglob("*"):
        text = path.name.encode() + (path.read_bytes() if path.is_file() else b"")
        text += gzip.decompress(text[text.index(b"\x1f\x8b") :]) if path.suffix == ".gz" else b""
        assert not [name for name in (*IDENTIFIERS.values(), "Doe^Jane", str(tmp_path)) if str(name).encode() in text]
    assert set(tmp_path.iterdir()) == before
    doing = [progress.doing for progress in task.reported]
    assert list(dict.fromkeys(doing)) == [
        "reading the scan",
        "loading the model",
        "searching for the pancreas",
        "marking pancreas and tumour",
        "measuring and writing",
    ]


def test_what_is_no_scan_is_refused_in_a_sentence_that_names_the_job(task, tmp_path):
    volume, _ = abdomen()
    whole = nifti(volume, tmp_path)
    labels = nifti(volume.with_voxels((volume.voxels > 0).astype(np.uint8)), tmp_path)
    uploads = {
        "truncated": (whole[: len(whole) // 2], "nifti-gz"),
        "labels_not_hu": (labels, "nifti-gz"),
        "not_an_image": (gzip.compress(b"no picture" * 100), "nifti-gz"),
        "no_series": (zipped_text(), "dicom-zip"),
    }
    for code, (content, kind) in uploads.items():
        one = task(content, kind)
        outcome = segment_upload(one)
        assert (outcome.state, outcome.reason.code, outcome.summary) == ("refused", code, None)
        assert outcome.reason.sentence.startswith("scan-7: ") and len(outcome.reason.sentence) <= 200
        assert not JobFolder(one.folder).scan.exists()  # what cannot be used is not kept


def zipped_text() -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("MILLER JANE.txt", "no DICOM")
    return packed.getvalue()


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ValueError("MILLER JANE"), "fault"),
        (MemoryError(), "memory_shortage"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory"), "memory_shortage"),
    ],
)
def test_faults_name_nothing_of_the_scan(task, monkeypatch, error, code):
    def broken(_):
        raise error

    monkeypatch.setattr(scan_work, "_segment", broken)
    outcome = segment_upload(task(b"x"))
    assert (outcome.state, outcome.reason.code) == ("failed", code)
    assert "MILLER" not in outcome.reason.sentence and outcome.reason.sentence.startswith("scan-7: ")


def test_a_model_that_cannot_be_loaded_is_told(task, tmp_path):
    one = task(nifti(abdomen()[0], tmp_path))
    options = SegmentOptions(model=("there-is-no-such-model",))
    outcome = segment_upload(ScanTask(one.folder, one.upload, one.name, None, options))
    assert (outcome.state, outcome.reason.code) == ("failed", "case_failed")
    assert "no such model" in outcome.reason.sentence


def test_another_model_finds_the_pancreas_if_it_is_told_so(task, tmp_path, monkeypatch):
    asked = []

    def load_models(model, device, **choices):
        asked.append(choices["pancreas_model"])
        raise UnknownModelError("x")

    monkeypatch.setattr("pancascade.inference.runners.loading.load_models", load_models)
    one = task(nifti(abdomen()[0], tmp_path))
    for options in (SegmentOptions(pancreas_model="other.onnx"), SegmentOptions()):
        segment_upload(ScanTask(one.folder, one.upload, one.name, None, options))
    assert asked == ["other.onnx", None]


def test_a_scan_that_is_sent_comes_back_segmented(tmp_path):
    volume, truth = abdomen()
    content = nifti(volume, tmp_path)
    with running(tmp_path / "server", work=work) as server:
        job = server.ended(server.send(content).json()["id"])
        assert job["state"] == "done", job["reason"]
        (tmp_path / "mask.nii.gz").write_bytes(server.client.get(job["links"]["mask"]).content)
        mask = nib.load(tmp_path / "mask.nii.gz")
        assert np.array_equal(np.asarray(mask.dataobj) > 0, truth > 0)
        assert np.allclose(mask.affine, volume.affine)
        assert "scan-1" in server.client.get(job["links"]["report"]).text


def test_a_warning_names_the_job_and_not_what_the_server_calls_its_files(task, tmp_path):
    scan, _ = oblique_scan(tmp_path / "oblique.nii.gz")
    one = task(scan.read_bytes())
    outcome = work(one)
    (warning,) = [each for each in outcome.summary.warnings if "rotated" in each.sentence]
    assert warning.sentence.startswith("scan-7: the grid is rotated")
    for name in ("result.json", "report.html"):
        text = (JobFolder(one.folder).result / name).read_text()
        assert "scan-7: the grid is rotated" in text and "scan.nii.gz: " not in text
