"""A study by DICOMweb: from a real Orthanc where there is one, and from servers that answer as no server should."""

import json
import shutil
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest
from dicom_writing import IDENTIFIERS, save_all
from orthanc import DICOMWEB, PASSWORD, USER
from stand_ins import RTSTRUCT, SEG, SR, mask_of, quick, store, study, without_ct

from pancascade.errors import PacsError
from pancascade.imaging.io import read_volume
from pancascade.segmentation.batch.batch_options import BatchOptions
from pancascade.segmentation.batch.case_work import CaseJob
from pancascade.segmentation.batch.scan_input import ScanInput
from pancascade.services.pacs.dicomweb import DicomWeb, Login
from ports import silent_port

needs_dicomweb = pytest.mark.skipif(DICOMWEB is None, reason="Orthanc's DICOMweb (orthanc-dicomweb) is not installed")
LOGIN = Login(name_and_password=f"{USER}:{PASSWORD}")
UID = "1.2.826.0.1.3680043.8.498.77.1"
JSON = "application/dicom+json"


@pytest.fixture
def answers():
    """A web server that answers with (status, type, body) to each request, and keeps what it was asked."""

    class Answering(BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append((self.path, dict(self.headers)))
            status, kind, body = chosen[min(len(asked), len(chosen)) - 1]
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_POST = do_GET  # noqa: N815

        def log_message(self, *_):
            pass

    chosen: list = []
    asked: list = []
    server = ThreadingHTTPServer(("127.0.0.1", 0), Answering)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()

    def start(*given):
        chosen.extend(given)
        return f"http://127.0.0.1:{server.server_address[1]}/dicom-web", asked

    yield start
    server.shutdown()
    server.server_close()
    thread.join()


NONE, ONE = (200, JSON, b"[]"), (200, JSON, json.dumps([{"0020000E": {"vr": "UI", "Value": [UID]}}]).encode())


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ([(401, "text/html", b"<html>no")], "access was refused (status 401). Give --token"),
        ([(403, "text/html", b"")], "access was refused (status 403)"),
        ([(404, "text/html", b"")], "not found (status 404)"),
        ([(500, "text/html", b"")], "it answers with status 500"),
        ([(200, "text/html", b"<html>welcome")], "it does not answer as a DICOMweb server"),
        ([(200, JSON, b'{"no": "list"')], "it does not answer as a DICOMweb server"),
        ([NONE, NONE], "there is no study of this UID"),
        ([NONE, ONE], "there is no CT in this study"),
        ([ONE, (200, "text/html", b"<html>")], "it does not answer as a DICOMweb server"),
        (
            [ONE, (200, 'multipart/related; boundary="b"', b"--b\r\n\r\nno DICOM\r\n--b--")],
            "does not answer as a DICOM",
        ),
    ],
)
def test_what_a_server_should_not_answer_is_one_sentence(answers, tmp_path, given, said):
    url, _ = answers(*given)
    with pytest.raises(PacsError) as refused:
        DicomWeb(url).fetch(UID, tmp_path)
    assert said in str(refused.value)
    assert str(refused.value).startswith("127.0.0.1:")
    assert len(str(refused.value)) <= 200
    assert UID not in str(refused.value)


def in_parts(*paths) -> tuple[int, str, bytes]:
    """An answer with these files."""
    parts = b"".join(b"--b\r\nContent-Type: application/dicom\r\n\r\n" + path.read_bytes() + b"\r\n" for path in paths)
    return (200, 'multipart/related; type="application/dicom"; boundary=b', parts + b"--b--")


def of_series(images, count: int) -> tuple[int, str, bytes]:
    """An answer that says how many images the series has."""
    uid = {"vr": "UI", "Value": [str(images[0].SeriesInstanceUID)]}
    return (200, JSON, json.dumps([{"0020000E": uid, "00201209": {"vr": "IS", "Value": [count]}}]).encode())


def test_fewer_images_than_the_server_has_are_no_series(answers, tmp_path):
    images = study()[:1]
    paths = save_all(images, tmp_path / "scan")
    url, _ = answers(of_series(images, 6), in_parts(*paths))
    (tmp_path / "fetched").mkdir()
    with pytest.raises(PacsError, match="sent only 1 of 6 images of a series"):
        DicomWeb(url).fetch(UID, tmp_path / "fetched")


def test_an_image_of_another_study_is_not_taken_for_one_of_this(answers, tmp_path):
    images = study(1)[:1]
    (other,) = save_all(study(2)[:1], tmp_path / "other")
    url, _ = answers(of_series(images, 1), in_parts(other))
    with pytest.raises(PacsError, match="sent an image of another study or series"):
        DicomWeb(url).fetch(UID, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["other"]


def test_an_image_that_comes_twice_does_not_stand_for_one_that_is_missing(answers, tmp_path):
    images = study(1)[:2]
    paths = save_all(images, tmp_path / "scan")
    url, _ = answers(
        of_series(images, 2), in_parts(paths[0], paths[0]), of_series(images, 2), in_parts(*paths, paths[0])
    )
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    with pytest.raises(PacsError, match="sent only 1 of 2 images of a series"):
        DicomWeb(url).fetch(UID, tmp_path / "a")
    assert DicomWeb(url).fetch(UID, tmp_path / "b") == len(list((tmp_path / "b").iterdir())) == 2


def test_a_server_that_is_not_there_is_one_sentence(tmp_path):
    refused = r"^127\.0\.0\.1:\d+: it cannot be reached\. Check address and network\.$"
    with silent_port() as port, pytest.raises(PacsError, match=refused):
        DicomWeb(f"http://127.0.0.1:{port}/dicom-web").fetch(UID, tmp_path)


def test_token_and_login_are_sent_and_in_no_message(answers, tmp_path):
    url, asked = answers((401, "text/html", b""))
    for login in (Login(token="s3cret"), Login(name_and_password="me:s3cret")):
        with pytest.raises(PacsError) as refused:
            DicomWeb(url, login).fetch(UID, tmp_path)
        assert "s3cret" not in str(refused.value)
    assert [headers["Authorization"] for _, headers in asked] == ["Bearer s3cret", "Basic bWU6czNjcmV0"]


def test_a_token_from_a_file_is_sent_without_its_line_break_and_one_that_no_header_can_hold_is_told(answers, tmp_path):
    url, asked = answers((401, "text/html", b""))
    with pytest.raises(PacsError, match="access was refused"):
        DicomWeb(url, Login(token="s3cret\r\n")).fetch(UID, tmp_path)
    assert asked[0][1]["Authorization"] == "Bearer s3cret"
    for token in ("schlüssel", "two\nlines"):
        with pytest.raises(PacsError, match=r"^--token: has characters that no token can have\. Copy it again\.$"):
            DicomWeb(url, Login(token=token))


@pytest.mark.parametrize("url", ["ftp://host/dicom-web", "http://", "http://host:99999999/", "nothing"])
def test_an_address_that_is_none_is_one_sentence(url):
    with pytest.raises(PacsError, match=r"give the address as dicomweb:http://HOST:PORT/PATH"):
        DicomWeb(url)


@needs_dicomweb
def test_the_ct_of_a_study_comes_as_it_was_stored(orthanc, tmp_path):
    images = study(11)
    other = without_ct()[0]
    other.StudyInstanceUID = images[0].StudyInstanceUID
    for each in ([*images], [other]):
        store(orthanc.port, each, called="ORTHANC")
    save_all(images, tmp_path / "scan")
    for series in (None, images[0].SeriesInstanceUID, "Portal"):
        folder = tmp_path / str(series)
        folder.mkdir()
        assert DicomWeb(orthanc.dicomweb, LOGIN).fetch(images[0].StudyInstanceUID, folder, series=series) == 6
        assert np.array_equal(read_volume(folder).voxels, read_volume(tmp_path / "scan").voxels)


@needs_dicomweb
@pytest.mark.parametrize("login", [Login(), Login(token="wrong"), Login(name_and_password=f"{USER}:wrong")])
def test_orthanc_refuses_who_is_not_known(orthanc, tmp_path, login):
    with pytest.raises(PacsError, match=r"access was refused \(status 40[13]\)"):
        DicomWeb(orthanc.dicomweb, login).fetch(UID, tmp_path)


@needs_dicomweb
def test_orthanc_has_no_such_study_and_no_ct_in_another(orthanc, tmp_path):
    server, image = DicomWeb(orthanc.dicomweb, LOGIN), without_ct()[0]
    with pytest.raises(PacsError, match="there is no study of this UID"):
        server.fetch("1.2.3.4", tmp_path)
    store(orthanc.port, [image], called="ORTHANC")
    with pytest.raises(PacsError, match="there is no CT in this study"):
        server.fetch(image.StudyInstanceUID, tmp_path)


class Found:
    """A result that needs no network: its files are those of a stand-in, its scan is the one that was fetched."""

    warnings = ()

    def __init__(self, folder):
        self.scan = read_volume(folder)
        self.mask, self._folder = mask_of(self.scan), folder

    def save(self, out, *, formats, **_):
        scan = ScanInput(self._folder, "", 0, "", case="c")
        quick(CaseJob(scan, out.parent / "made", BatchOptions(), nameless=True))
        names = {"dicom-seg": "segmentation.dcm", "rtstruct": "rtstruct.dcm", "dicom-sr": "measurements.dcm"}
        for kind in formats:
            shutil.copy(out.parent / "made" / "c" / names[kind], out / names[kind])


@pytest.fixture
def never_reads_a_network(monkeypatch):
    monkeypatch.setattr("pancascade.cli.segment._find", lambda scan, **_: Found(scan))


@needs_dicomweb
def test_the_verb_fetches_segments_and_gives_the_results_back(
    orthanc, pancascade, never_reads_a_network, monkeypatch, tmp_path
):
    images = study(12)
    store(orthanc.port, images, called="ORTHANC")
    monkeypatch.setenv("PANCASCADE_DICOMWEB_LOGIN", f"{USER}:{PASSWORD}")
    monkeypatch.setenv("TMPDIR", str(tmp_path / "temporary"))
    monkeypatch.setattr("tempfile.tempdir", None)
    (tmp_path / "temporary").mkdir()
    uids = (images[0].StudyInstanceUID, images[0].SeriesInstanceUID)
    given = ("--study", uids[0], "--series", uids[1], "--store")
    code, out, err = pancascade("segment", f"dicomweb:{orthanc.dicomweb}", *given)
    assert (code, err) == (0, "")
    assert "tumour" in out
    assert str(tmp_path) not in out
    assert list((tmp_path / "temporary").iterdir()) == []
    found = [each for each in orthanc.instances() if each.StudyInstanceUID == uids[0] and each.get("Modality") != "CT"]
    assert sorted(each.SOPClassUID for each in found) == sorted((SEG, RTSTRUCT, SR))
    found_before = orthanc.get("/instances")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "private.dcm").write_bytes(b"of somebody else")
    given = ("--study", uids[0], "--out", tmp_path / "out", "--store", "--format", "dicom-seg")
    code, out, err = pancascade("segment", f"dicomweb:{orthanc.dicomweb}", *given)
    assert (code, err) == (0, "")
    assert not [text for text in (*IDENTIFIERS.values(), *uids) if text in out]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["private.dcm", "segmentation.dcm"]
    assert len(orthanc.get("/instances")) == len(found_before) + 1


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (("dicomweb:http://127.0.0.1:9/dw", "--store"), "Give --study with the UID of one."),
        (("dicomweb:http://127.0.0.1:9/dw", "--study", UID), "Or give --store."),
        (("dicomweb:http://127.0.0.1:9/dw", "--study", "Jane Doe", "--store"), "--study: a UID has up to 64 digits"),
        (("dicomweb:somewhere", "--study", UID, "--store"), "give the address as dicomweb:http://HOST:PORT/PATH"),
        (("dicomweb:http://127.0.0.1:9/dw", "--study", UID, "--store", "--format", "nifti"), "accepts no NIfTI"),
        (("dicomweb:http://127.0.0.1:9/dw", "--list-series"), "--list-series works on files and folders only"),
        (("scan.nii.gz", "--store"), "need a scan of a DICOMweb server"),
        (("scan.nii.gz", "--study", UID, "--out", "out"), "need a scan of a DICOMweb server"),
    ],
)
def test_options_that_do_not_fit_are_one_sentence(pancascade, tmp_path, monkeypatch, given, said):
    monkeypatch.chdir(tmp_path)
    code, out, err = pancascade("segment", *given)
    assert (code, out) == (2, "")
    assert said in err
    assert err.count("\n") == 1
    assert len(err) <= 210
    assert list(tmp_path.iterdir()) == []
