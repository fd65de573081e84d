"""The viewer of a job, with stand-ins for the page and for the corrections."""

import gzip
import socket
import sys
from dataclasses import dataclass
from datetime import UTC
from shutil import copyfile
from types import ModuleType
from urllib.parse import urlsplit

import nibabel as nib
import numpy as np
import pytest
from label_server import StubSegmenter, oblique_scan
from running import running

from pancascade.errors import DataError
from pancascade.results.corrections import newest_correction
from pancascade.results.corrections.keeping import prepare_folder
from pancascade.services.server import viewer_routes
from pancascade.services.server.faults import RequestError
from pancascade.services.server.job_folder import JobFolder
from pancascade.services.server.server_settings import ServerSettings


@dataclass
class File:
    content: bytes
    media_type: str


@pytest.fixture
def parts(monkeypatch):
    """Stand-ins; `saved` has what was corrected."""
    viewer, corrections = ModuleType("pancascade.services.viewer"), ModuleType("pancascade.results.corrections")
    viewer.page_files = lambda: {"page.html": File(b"<h1>", "text/html"), "a/b.js": File(b"1", "text/javascript")}
    viewer.viewer_document = lambda result, *, corrections: {"scan": result.name, "corrections": corrections}
    corrections.saved = []

    def save_correction(result, label_map, *, author, now):
        if label_map == b"bad":
            raise DataError("mask: lies on another grid. Edit the mask of this scan.")
        corrections.saved.append((label_map, author))
        assert now.tzinfo is UTC
        (result / "corrections").mkdir(exist_ok=True)
        (result / "corrections" / "001.nii.gz").write_bytes(label_map)
        return result / "corrections" / "001.nii.gz"

    corrections.save_correction = save_correction
    monkeypatch.setitem(sys.modules, "pancascade.services.viewer", viewer)
    monkeypatch.setitem(sys.modules, "pancascade.results.corrections", corrections)
    return corrections


def test_the_page_and_what_it_shows_lie_below_the_job(server, parts):
    job = server.ended(server.submit())["id"]
    redirected = server.client.get(f"/jobs/{job}/view")
    assert (redirected.status_code, redirected.headers["location"]) == (308, f"/jobs/{job}/view/")
    page = server.client.get(f"/jobs/{job}/view/")
    assert (page.content, page.headers["content-type"]) == (b"<h1>", "text/html; charset=utf-8")
    assert "worker-src 'self' blob:" in page.headers["content-security-policy"]
    assert server.client.get(f"/jobs/{job}/view/a/b.js").content == b"1"
    assert server.client.get(f"/jobs/{job}/view/viewer.json").json() == {
        "scan": "result",
        "corrections": True,
        "corrections_note": "A correction is removed with its job, 24 hours after its end at the latest: download it, "
        "or start the server with --corrections FOLDER.",
    }
    files = {
        "ct.nii.gz": b"the scan",
        "mask.nii.gz": b"mask",
        "pancreas_probability.nii.gz": b"pancreas",
        "tumour_probability.nii.gz": b"tumour",
    }
    for name, content in files.items():
        assert server.client.get(f"/jobs/{job}/view/files/{name}").content == content
    for name in ("files/result.json", "files/..%2fjob.json", "c.js", "..%2f..%2fjob.json"):
        assert server.client.get(f"/jobs/{job}/view/{name}").status_code == 404


def test_a_correction_is_kept_beside_the_result_and_goes_into_the_archive(server, parts):
    job = server.ended(server.submit())["id"]
    place = f"/jobs/{job}/view/correction"
    answer = server.client.post(place, params={"author": " A. Reader "}, content=b"mask")
    assert answer.json()["saved"] == "001.nii.gz"
    assert "removed with its job" in answer.json()["note"]
    assert parts.saved == [(b"mask", "A. Reader")]
    assert b"corrections/001.nii.gz" in server.client.get(f"/jobs/{job}/result.zip").content
    for params, content, words in (
        ({}, b"mask", "needs its author"),
        ({"author": "a" * 61}, b"mask", "1 to 60 letters"),
        ({"author": "A/B"}, b"mask", "1 to 60 letters"),
        ({"author": "A"}, b"bad", "another grid"),
    ):
        answer = server.client.post(place, params=params, content=content)
        assert (answer.status_code, words in server.detail(answer)) == (400, True)


@pytest.mark.parametrize("said", [True, False])
def test_a_correction_that_is_too_large_is_not_read_to_its_end_nor_where_it_says_so(server, parts, monkeypatch, said):
    monkeypatch.setattr("pancascade.results.corrections.packed_label_map.MOST_BYTES", 1000)
    job = server.ended(server.submit())["id"]
    content = bytes(1001) if said else iter([bytes(600), bytes(600)])
    answer = server.client.post(f"/jobs/{job}/view/correction", params={"author": "A"}, content=content)
    assert (answer.status_code, parts.saved) == (413, [])
    assert server.detail(answer).endswith("Save labels as whole numbers of 8 bits, compressed.")


def test_with_a_folder_of_corrections_a_corrected_result_is_copied_there_and_that_is_said(parts, tmp_path):
    copied = []
    parts.prepare_folder = prepare_folder
    parts.keep_corrected = lambda result, scan, place: copied.append((result, scan, place))
    with running(tmp_path / "server", corrections=tmp_path / "kept") as server:
        assert (tmp_path / "kept").is_dir()
        job = server.ended(server.submit())["id"]
        note = server.client.get(f"/jobs/{job}/view/viewer.json").json()["corrections_note"]
        answer = server.client.post(f"/jobs/{job}/view/correction", params={"author": "A"}, content=b"mask")
    assert answer.json() == {"saved": "001.nii.gz", "note": note}
    assert note == "Corrections are kept with their scan in the server's folder of corrections."
    folder = tmp_path / "server" / "jobs" / job
    assert copied == [(folder / "result", folder / "scan.nii.gz", tmp_path / "kept" / job)]


def test_a_copy_that_failed_is_made_when_the_reader_saves_again(server, tmp_path):
    reader, scan = JobFolder(tmp_path / "job"), tmp_path / "studies" / "ct.nii.gz"
    oblique_scan(scan)
    reader.path.mkdir()
    copyfile(scan, reader.scan)
    StubSegmenter().segment(reader.scan, reader.result)
    mask = nib.load(reader.result / "segmentation.nii.gz")
    voxels = np.asarray(mask.dataobj).copy()
    voxels[0, 0, 0] = 2
    edited = gzip.compress(nib.Nifti1Image(voxels, mask.affine).to_bytes())
    kept = tmp_path / "kept"
    kept.write_bytes(b"a file where the folder should be")
    settings = ServerSettings(folder=tmp_path / "data", corrections=kept)
    for _ in range(2):
        with pytest.raises(RequestError, match="saved with its result, but the folder of corrections") as error:
            viewer_routes._save(reader, edited, "A", settings)
        assert error.value.status == 507
    kept.unlink()
    kept.mkdir()
    assert viewer_routes._save(reader, edited, "A", settings) == "001.nii.gz"
    assert newest_correction(kept / "job").number == 1
    with pytest.raises(DataError, match="nothing was changed"):
        viewer_routes._save(reader, edited, "A", settings)


def test_a_reader_who_goes_away_while_a_correction_is_sent_is_no_fault_of_the_server(server, caplog):
    job = server.ended(server.submit())["id"]
    place = urlsplit(server.address)
    head = f"POST /jobs/{job}/view/correction?author=A HTTP/1.1\r\nHost: {place.netloc}\r\nContent-Length: 1000\r\n\r\n"
    with socket.create_connection((place.hostname, place.port)) as connection:
        connection.sendall(head.encode() + b"half of it")
        connection.shutdown(socket.SHUT_WR)
        while connection.recv(65536):
            pass
    assert caplog.messages == []
