"""What a hostile client of MONAI Label's routes sends, and what a killed server leaves."""

import json
from contextlib import ExitStack

import httpx
import nibabel as nib
import numpy as np
import pytest

pytest.importorskip("fastapi")
from label_server import MODEL, StubSegmenter, label_app, oblique_scan, served
from running import running

from pancascade.services.server.monai_label import TrainingOptions
from pancascade.services.server.monai_label.service import MOST_WAITING
from pancascade.services.server.monai_label.sessions import EXPIRY_S


@pytest.fixture
def place(tmp_path, studies):
    app, service = label_app(tmp_path / "data", StubSegmenter(), studies=[studies], training=TrainingOptions())
    with served(app) as address, httpx.Client(base_url=address, timeout=None) as client:
        yield service, client
    service.close()


def detail(answer, status: int) -> str:
    assert answer.status_code == status, answer.text
    return answer.json()["detail"]


def header_of(image, voxels: str, element: str, *, comment: str = "") -> bytes:
    """A MetaImage header on the grid of an image, whose voxels are in another file."""
    to_lps = np.diag([-1, -1, 1, 1]) @ image.affine
    spacing = np.linalg.norm(to_lps[:3, :3], axis=0)
    lines = {
        "ObjectType": "Image",
        **({"Comment": comment} if comment else {}),
        "NDims": 3,
        "BinaryData": True,
        "TransformMatrix": " ".join(map(str, (to_lps[:3, :3] / spacing).T.ravel())),
        "Offset": " ".join(map(str, to_lps[:3, 3])),
        "ElementSpacing": " ".join(map(str, spacing)),
        "DimSize": " ".join(map(str, image.shape)),
        "ElementType": element,
        "ElementDataFile": voxels,
    }
    return "".join(f"{key} = {value}\n" for key, value in lines.items()).encode()


@pytest.mark.parametrize("name", ["x.mha", "x.mhd", "x.nii.gz", "x.nrrd", "x"])
def test_a_label_map_never_brings_another_file_of_this_computer(place, tmp_path, studies, name):
    service, client = place
    (image,) = service.images.ids()
    scan = nib.load(studies / "ct.nii.gz")
    (tmp_path / "secret").write_bytes(bytes([1]) * int(np.prod(scan.shape)))
    sent = header_of(scan, str(tmp_path / "secret"), "MET_UCHAR")
    answer = client.put("/datastore/label", params={"image": image}, files={"label": (name, sent)})
    assert answer.status_code in (400, 415)
    assert service.newest(image) is None
    nrrd = f"NRRD0004\ntype: uint8\ndata file: {tmp_path / 'secret'}\n\n".encode()
    detail(client.put("/datastore/label", params={"image": image}, files={"label": ("x.nrrd", nrrd)}), 415)


def test_a_scan_is_read_as_the_kind_that_it_was_checked_for(place, tmp_path, studies):
    service, client = place
    scan = nib.load(studies / "ct.nii.gz")
    (tmp_path / "secret").write_bytes(np.asarray(scan.dataobj).astype("<i2").tobytes(order="F"))
    place_of_mark = header_of(scan, "x", "MET_SHORT", comment="DICM").index(b"DICM")
    comment = "x" * (128 - place_of_mark) + "DICM"  # where DICOM has its mark
    sent = header_of(scan, str(tmp_path / "secret"), "MET_SHORT", comment=comment)
    assert sent[128:132] == b"DICM"
    for method, address, field in (
        ("PUT", "/datastore/image", "file"),
        ("PUT", "/session/", "files"),
        ("POST", f"/infer/{MODEL}", "file"),
    ):
        assert "DICOM" in detail(client.request(method, address, files={field: ("x.mha", sent)}), 400)
    assert len(service.images.ids()) == 1


def test_a_label_map_with_more_voxels_than_its_scan_is_refused_by_its_header(place):
    service, client = place
    (image,) = service.images.ids()
    sent = b"NRRD0004\ntype: uint8\ndimension: 3\nsizes: 1000 1000 1000\nencoding: gzip\n\n"
    answer = client.put("/datastore/label", params={"image": image}, files={"label": ("x.nrrd", sent)})
    assert "voxels take more than" in detail(answer, 413)


@pytest.mark.parametrize(
    "value",
    ['"\\ud800"', '"\\udc80"', "NaN", "1e999", '{"a": -Infinity}', "[" * 500 + "]" * 500],
    ids=["surrogate", "byte", "nan", "huge", "infinite", "deep"],
)
def test_what_cannot_be_sent_back_is_not_kept(place, value):
    service, client = place
    (image,) = service.images.ids()
    body = f'{{"client_id": {value}}}'.encode()
    for address in ("/activelearning/first", f"/batch/infer/{MODEL}?images=labeled", f"/train/{MODEL}", "/train/"):
        said = detail(client.post(address, content=body, headers={"content-type": "application/json"}), 400)
        assert "correction to train on" not in said
    answer = client.put("/datastore/image/info", params={"image": image}, data={"info": f'{{"a": {value}}}'})
    assert detail(answer, 400).startswith("params:")
    assert client.get("/datastore/", params={"output": "all"}).status_code == 200
    assert service.batches.tasks == []


def test_a_file_without_a_name_is_told_in_plain_words(place):
    _, client = place
    part = b'--B\r\nContent-Disposition: form-data; name="file"\r\n\r\nx\r\n--B--\r\n'
    headers = {"content-type": "multipart/form-data; boundary=B"}
    said = detail(client.put("/datastore/image", content=part, headers=headers), 400)
    assert said == "file: no file was sent in this field. See corrections.md."


def test_a_session_that_nobody_asks_for_again_is_removed_by_the_server_itself(tmp_path):
    path, _ = oblique_scan(tmp_path / "scan.nii.gz")
    with running(tmp_path / "data") as server:
        labels = server.app.state.labels
        session = labels.sessions.add(path)
        record = tmp_path / "data" / "labelling" / "sessions" / session / "session.json"
        old = json.loads(record.read_text())
        record.write_text(json.dumps({**old, "last_access_ts": old["last_access_ts"] - EXPIRY_S - 1}))
        for look in server.service.every_minute:
            look()
        assert not record.parent.exists()


def test_what_a_killed_server_left_half_done_is_gone_and_the_rest_is_not(tmp_path):
    path, _ = oblique_scan(tmp_path / "scan.nii.gz")
    with running(tmp_path / "data") as server:
        image = server.app.state.labels.images.add(path, name=None)
        whole = server.app.state.labels.sessions.add(path)
    folder = tmp_path / "data" / "labelling"
    assert folder.stat().st_mode & 0o077 == 0
    half = [
        folder / "images" / image / ".0123abcd.scan.nii.gz",
        folder / "results" / ".draft-0123abcd" / "segmentation.nii.gz",
        folder / "sessions" / f"session-{'0' * 32}" / "scan.nii.gz",
    ]
    for one in half:
        one.parent.mkdir(parents=True, exist_ok=True)
        one.write_bytes(b"voxels")
    with running(tmp_path / "data") as server:
        assert not any(one.exists() for one in half)
        assert server.app.state.labels.images.ids() == [image]
        assert server.app.state.labels.sessions.info(whole)["name"] == whole


def test_requests_that_wait_for_a_mask_leave_the_others_an_answer(place):
    service, client = place
    (image,) = service.images.ids()
    with ExitStack() as held:
        held.enter_context(service._work_on(image))  # as while it is segmented
        for _ in range(MOST_WAITING):
            held.enter_context(service.place())
        for answer in (
            client.post(f"/infer/{MODEL}", params={"image": image}),
            client.put("/datastore/label", params={"image": image}, files={"label": ("x.bin", b"x")}),
            client.delete("/datastore/image", params={"id": image}),
        ):
            assert (detail(answer, 503)[:22], answer.headers["Retry-After"]) == ("Too many requests wait", "60")
        assert client.get("/datastore/image", params={"image": image}).status_code == 200
        assert client.post("/activelearning/first").json()["id"] == image
    assert client.post(f"/infer/{MODEL}", params={"image": image}).status_code == 200


def test_an_image_whose_file_was_removed_by_hand_is_told_as_missing(place, tmp_path):
    _, client = place
    path, _ = oblique_scan(tmp_path / "sent.nii.gz", seed=6)
    image = client.put("/datastore/image", files={"file": ("x.nii.gz", path.read_bytes())}).json()["image"]
    (tmp_path / "data" / "images" / image / "scan.nii.gz").unlink()
    assert detail(client.get("/datastore/image", params={"image": image}), 404).startswith("There is no such image")
    assert client.post(f"/infer/{MODEL}", params={"image": image}).status_code == 404
