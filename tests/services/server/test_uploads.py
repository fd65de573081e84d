"""What comes in, and what is not let in."""

import gzip
import io
import socket
import struct
import zipfile
from urllib.parse import urlsplit

import nibabel as nib
import numpy as np
import pytest
import stub_work

from pancascade.services.server import uploads
from pancascade.services.server.faults import RequestError
from pancascade.services.server.upload_kinds import require_modest

LIMIT = 1_000_000


@pytest.fixture(autouse=True)
def nothing_is_left(server):
    yield
    server.wait_for(
        lambda: {job.id for job in server.service.jobs.all()} == {path.split("/")[0] for path in server.on_disk()}
    )


def refusal(server, content: bytes, status: int) -> str:
    answer = server.send(content)
    assert answer.status_code == status
    assert server.on_disk() == set()
    return server.detail(answer)


def raw(server, head: str, *body: bytes, leaves: bool = False) -> bytes:
    """What is answered to bytes as they are, from a client that says what it likes."""
    place = urlsplit(server.address)
    with socket.create_connection((place.hostname, place.port)) as connection:
        connection.sendall(f"POST /jobs HTTP/1.1\r\nHost: {place.netloc}\r\n{head}\r\n\r\n".encode())
        try:
            for piece in body:
                connection.sendall(piece)
            if leaves:
                connection.shutdown(socket.SHUT_WR)
        except ConnectionError:  # it has heard enough
            pass
        said = b""
        try:
            while piece := connection.recv(65536):
                said += piece
        except ConnectionError:
            pass
    return said


FORM = "Content-Type: multipart/form-data; boundary=BOUND\r\nConnection: close"
PART = b'--BOUND\r\nContent-Disposition: form-data; name="file"; filename="x.nii"\r\n\r\n'


def test_ten_gigabytes_are_refused_before_a_byte_of_them_is_sent(server):
    said = raw(server, f"{FORM}\r\nContent-Length: 10000000000")
    assert said.startswith(b"HTTP/1.1 413")
    assert b"The file is larger than 1 MB, the most that this server takes." in said


def test_a_length_that_is_not_told_or_not_true_does_not_lift_the_limit(server):
    chunk = PART + bytes(2 * LIMIT)
    chunked = f"{len(chunk):x}\r\n".encode() + chunk + b"\r\n"
    assert raw(server, f"{FORM}\r\nTransfer-Encoding: chunked", chunked).startswith(b"HTTP/1.1 413")
    # Of what goes beyond the length that was told, nothing is read.
    assert raw(server, f"{FORM}\r\nContent-Length: 200", PART + bytes(2 * LIMIT)).startswith(b"HTTP/1.1 400")


def test_the_largest_file_is_taken_and_one_byte_more_is_not(server):
    largest = stub_work.upload().ljust(LIMIT, b"\0")
    assert server.send(largest).status_code == 202
    server.ended(server.service.jobs.all()[0].id)
    assert server.send(largest + b"\0").status_code == 413


def test_many_small_parts_do_not_lift_the_limit(server):
    part = b'--BOUND\r\nContent-Disposition: form-data; name="other"\r\n\r\n' + bytes(1000) + b"\r\n"
    body = part * 1200 + b"--BOUND--\r\n"
    answer = server.client.post("/jobs", content=body, headers={"Content-Type": "multipart/form-data; boundary=BOUND"})
    assert (answer.status_code, server.detail(answer)[:22]) == (413, "The file is larger tha")


def test_an_upload_that_is_cut_off_leaves_nothing(server):
    said = raw(server, f"{FORM}\r\nContent-Length: 500000", PART + stub_work.upload(), leaves=True)
    assert said == b"" or said.startswith(b"HTTP/1.1 408")
    server.wait_for(lambda: not server.on_disk())
    assert server.ended(server.submit())["state"] == "done"


@pytest.mark.parametrize(
    "request_line", ["POST /jobs", "POST /jobs/JOB/view/correction?author=A", "PUT /datastore/image", "POST /train/"]
)
def test_a_client_that_says_nothing_more_is_let_go(server, monkeypatch, request_line):
    job = server.ended(server.submit())["id"]
    monkeypatch.setattr(uploads, "_SILENCE_S", 0.01)
    place = urlsplit(server.address)
    with socket.create_connection((place.hostname, place.port)) as connection:
        head = f"{request_line.replace('JOB', job)} HTTP/1.1\r\nHost: {place.netloc}\r\n{FORM}\r\n"
        connection.sendall(f"{head}Content-Length: 50000\r\n\r\n".encode() + PART + b"half of")
        assert connection.recv(65536).startswith(b"HTTP/1.1 408")


@pytest.mark.parametrize(
    ("kind", "body", "status", "words"),
    [
        ("application/json", b"{}", 415, "multipart/form-data"),
        ("multipart/form-data", b"--BOUND--", 415, "multipart/form-data"),
        ("multipart/form-data; boundary=BOUND", b"what is this", 400, "damaged"),
        (f"multipart/form-data; boundary={'B' * 5000}", b"x", 400, "damaged"),
        ("multipart/form-data; boundary=BOUND", PART + b"\r\n", 400, "cut off"),
        ("multipart/form-data; boundary=BOUND", b"--BOUND--\r\n", 400, ""),
        ("multipart/form-data; boundary=BOUND", PART + b"\r\n" + PART + b"\r\n--BOUND--\r\n", 400, "several files"),
        (
            "multipart/form-data; boundary=BOUND",
            PART.replace(b'"file"', b'"scan"') + b"\r\n--BOUND--\r\n",
            400,
            "no file in the field `file`",
        ),
    ],
)  # fmt: skip
def test_what_is_no_form_with_one_file_is_refused(server, kind, body, status, words):
    answer = server.client.post("/jobs", content=body, headers={"Content-Type": kind})
    assert answer.status_code == status
    assert words in server.detail(answer)


def test_kinds_are_known_by_their_content_and_not_by_their_names(server):
    assert refusal(server, b"", 400).startswith("The file is empty.")
    for content in (b"x", b"\x89PNG\r\n" + bytes(600), b"<html>" + bytes(600)):
        assert refusal(server, content, 415).startswith("This is no scan of a supported kind.")
    dicom = bytes(128) + b"DICM" + bytes(64)
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("a/b", b"x")
    nrrd = b"NRRD0004\ntype: short\n\n" + bytes(64)
    kinds = {"nifti": stub_work.upload(), "nifti-gz": gzip.compress(stub_work.upload()), "dicom": dicom}
    for kind, content in {**kinds, "dicom-zip": packed.getvalue(), "nrrd": nrrd}.items():
        job = server.send(content, name="scan.exe").json()
        assert job["kind"] == kind
        assert server.ended(job["id"])["state"] == "done"


def test_without_its_library_nrrd_is_refused_with_what_to_do(server, monkeypatch):
    monkeypatch.setattr("pancascade.services.server.upload_kinds.find_spec", lambda _: None)
    assert "pancascade[itk]" in refusal(server, b"NRRD0004\n\n", 415)


@pytest.mark.parametrize(
    "field", ["data file: /etc/passwd", "Data File: LIST", "datafile: ../../x.raw", "DATA FILE:=x"]
)
def test_a_header_that_reads_another_file_of_this_computer_is_refused(server, field):
    for ending in ("\n", "\r\n"):
        lines = ["NRRD0004", "type: short", field, "", ""]
        assert "in another file" in refusal(server, ending.join(lines).encode(), 415)
    assert "in another file" in refusal(server, b"NRRD0004\ntype: short\n", 415)  # its header does not end


def zipped(names: dict[str, bytes], **options) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED, **options) as archive:
        for name, content in names.items():
            archive.writestr(name, content)
    return packed.getvalue()


def test_an_archive_that_unpacks_to_too_much_is_refused(server):
    bomb = zipped({str(number): bytes(2 * LIMIT) for number in range(3)})
    assert len(bomb) < LIMIT
    assert refusal(server, bomb, 413) == (
        "The archive unpacks to more than 4 MB. Pack the files of one CT series alone."
    )


@pytest.mark.parametrize("name", ["../../evil", "/etc/evil", "a/../../evil", "..\\evil", "C:\\evil", "C:evil"])
def test_an_archive_whose_names_lead_out_of_its_folder_is_refused(server, name):
    said = refusal(server, zipped({"ct/1.dcm": b"x", name: b"x"}), 400)
    assert said.startswith("A name in the archive leads out of its folder")  # and not what the server calls it


def test_a_damaged_archive_is_refused(server):
    whole = zipped({"1.dcm": bytes(5000)})
    assert "damaged" in refusal(server, whole[:-30], 400)
    assert "damaged" in refusal(server, b"PK\x03\x04" + bytes(40), 400)


def test_voxels_that_do_not_fit_are_refused_by_the_header_alone(server):
    header = nib.Nifti1Header()
    header.set_data_dtype(np.float64)
    header.set_data_shape((2000, 2000, 2000))
    header["magic"] = b"n+1"
    for content in (header.binaryblock, gzip.compress(header.binaryblock)):
        assert refusal(server, content + bytes(4), 413).startswith("The scan's voxels take more than 4 MB.")
    for damaged in (gzip.compress(header.binaryblock)[:40], header.binaryblock[:40]):  # the worker says why
        assert server.ended(server.send(damaged).json()["id"])["state"] == "done"


def test_a_series_is_asked_for_by_its_name_in_the_address(server):
    job = server.send(stub_work.upload(), params={"series": "3"}).json()
    assert job["series"] == "3"
    server.ended(job["id"])
    answer = server.send(stub_work.upload(), params={"series": "3" * 200})
    assert (answer.status_code, server.detail(answer)[:7]) == (400, "series:")


def test_a_table_of_contents_that_is_too_long_is_not_read(tmp_path):
    from pancascade.errors import UnreadableError
    from pancascade.files.archives import require_safe_archive

    plain = zipped({"1": b"x"})
    end = plain.rindex(b"PK\x05\x06")
    long = plain[: end + 12] + struct.pack("<L", 100_000_000) + plain[end + 16 :]
    record = b"PK\x06\x06" + struct.pack("<QHHLLQQQQ", 44, 45, 45, 0, 0, 1, 1, 100_000_000, 0)
    locator = b"PK\x06\x07" + struct.pack("<LQL", 0, end, 1)
    for content in (long, plain[:end] + record + locator + plain[end:]):
        (tmp_path / "x.zip").write_bytes(content)
        with pytest.raises(UnreadableError, match="more than 20000 files") as error:
            require_safe_archive(tmp_path / "x.zip", most_bytes=10)
        assert error.value.code == "archive_too_large"


def test_nrrd_is_measured_by_its_header(tmp_path):
    for sizes, status in (("1000 1000 1000", 413), ("10 10 10", None), ("x", None)):
        path = tmp_path / "scan.nrrd"
        path.write_bytes(f"NRRD0004\ntype: double\nsizes: {sizes}\nencoding: gzip\n\n".encode())
        if status is None:
            require_modest(path, "nrrd", most_bytes=LIMIT)
        else:
            with pytest.raises(RequestError, match="voxels take more than 1 MB"):
                require_modest(path, "nrrd", most_bytes=LIMIT)
