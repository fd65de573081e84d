"""What the other clients ask, and who must not ask: the routes by HTTP, without a socket."""

import hashlib
import json
import sys
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import httpx
import nibabel as nib
import numpy as np
import pytest

pytest.importorskip("fastapi")
from fastapi.routing import APIRoute
from label_server import MODEL, TOKEN, StubSegmenter, label_app, oblique_scan, served

from pancascade.imaging.io import read_volume
from pancascade.results.corrections import newest_correction
from pancascade.services.server.monai_label import TrainingOptions
from pancascade.services.server.monai_label.routes import OPEN_PATHS
from pancascade.services.server.monai_label.sessions import EXPIRY_S, Sessions
from pancascade.services.server.monai_label.tasks import BatchTasks, Task
from pancascade.services.server.monai_label.training import train_command

sys.path.insert(0, str(Path(__file__).parents[2] / "imaging" / "io"))


@pytest.fixture
def place(tmp_path, studies):
    app, service = label_app(tmp_path / "data", StubSegmenter(), studies=[studies], training=TrainingOptions())
    with calling(app) as client:
        yield service, client
    service.close()


@contextmanager
def calling(app):
    """A client of the application."""
    with served(app) as address, httpx.Client(base_url=address, timeout=None) as client:
        yield client


def refused(answer, status=400):
    assert answer.status_code == status, answer.text
    sentence = answer.json()["detail"]
    assert len(sentence) <= 200
    return sentence


def every_route(router):
    """All routes with those of the routers that they include."""
    for route in router.routes:
        inner = getattr(route, "original_router", None)
        if inner is not None:
            yield from every_route(inner)
        elif isinstance(route, APIRoute):
            yield route


def test_nothing_is_answered_without_the_token_but_how_to_get_it(tmp_path):
    app, service = label_app(tmp_path / "data", StubSegmenter(), token=TOKEN, training=TrainingOptions())
    routes = [route for route in every_route(app) if route.path not in OPEN_PATHS]
    with calling(app) as client:
        asked = set()
        for route in routes:
            path = route.path.format(**dict.fromkeys(("model", "strategy", "session_id"), MODEL), id="x")
            for method in route.methods:
                for headers in ({}, {"Authorization": "Bearer wrong"}):
                    assert client.request(method, path, headers=headers).status_code == 401, (method, path)
                asked.add((method, route.path))
        assert len(asked) > 25
        assert service.images.ids() == []
        assert refused(client.post("/auth/token", data={"password": "wrong"}), 401).startswith("The password is wrong")
        assert client.post("/auth/token", data={"password": TOKEN}).json()["access_token"] == TOKEN


def test_a_server_without_a_token_says_so(place):
    assert place[1].get("/auth/").json()["enabled"] is False
    assert place[1].post("/auth/token", data={"password": "x"}).json()["access_token"] is None


def test_each_output_has_its_shape(place):
    service, client = place
    (image,) = service.images.ids()
    reported = client.post(f"/infer/{MODEL}", params={"image": image, "output": "json"})
    assert reported.json()["label_names"] == {"pancreas": 1, "tumour": 2}
    both = client.post(f"/infer/{MODEL}", params={"image": image})
    assert both.headers["content-type"].startswith("multipart/form-data; boundary=")
    alone = client.post(f"/infer/{MODEL}", params={"image": image, "output": "image"})
    assert alone.headers["content-disposition"] == f'attachment; filename="{image}.nii.gz"'
    assert alone.content == service.mask(image).read_bytes()
    assert alone.content in both.content
    assert "DICOM-SEG is written by" in refused(
        client.post(f"/infer/{MODEL}", params={"image": image, "output": "dicom_seg"})
    )


def test_a_mask_without_a_tumour_names_only_what_it_holds(place):
    service, client = place
    (image,) = service.images.ids()
    path = service.result(image) / "segmentation.nii.gz"
    mask = nib.load(path)
    nib.save(nib.Nifti1Image((np.asarray(mask.dataobj) == 2).astype(np.uint8) * 2, mask.affine), path)
    reported = client.post(f"/infer/{MODEL}", params={"image": image, "output": "json"}).json()
    assert reported["label_names"] == {"tumour": 2}


def test_a_browser_s_viewer_gets_nrrd_and_sends_raw_voxels(place, tmp_path):
    pytest.importorskip("SimpleITK")
    service, client = place
    (image,) = service.images.ids()
    asked = {"result_extension": ".nrrd", "result_dtype": "uint16", "result_compress": False}
    answer = client.post(
        f"/infer/{MODEL}", params={"image": image, "output": "image"}, data={"params": json.dumps(asked)}
    )
    (tmp_path / "mask.nrrd").write_bytes(answer.content)
    got, kept = read_volume(tmp_path / "mask.nrrd"), read_volume(service.mask(image))
    assert got.voxels.dtype == np.uint16
    assert np.array_equal(got.voxels, kept.voxels)
    assert got.on_same_grid_as(kept, tolerance_mm=1e-3)
    drawn = kept.voxels.astype("<u2")
    drawn[4, 5, 6] = 1
    sent = {"label": ("label.bin", drawn.tobytes(order="F"))}
    assert client.put("/datastore/label", params={"image": image}, files=sent).json()["number"] == 1
    assert np.array_equal(read_volume(newest_correction(service.result(image)).label_map).voxels, drawn)
    short = {"label": ("label.bin", drawn.tobytes()[:-2])}
    assert "are not the" in refused(client.put("/datastore/label", params={"image": image}, files=short))
    nrrd = {"label": ("label.seg.nrrd", answer.content)}  # back to what the model made
    assert client.put("/datastore/label", params={"image": image}, files=nrrd).json()["number"] == 2


def test_dicom_of_the_studies_is_asked_for_by_the_uid_of_its_series(tmp_path):
    from dicom_writing import ct_slices, save_all

    from pancascade.imaging.io import find_series

    hu = np.random.default_rng(0).integers(-300, 300, (20, 40, 40)).astype(np.int16)
    hu[:, :8] = -1000
    save_all(ct_slices(hu, spacing_mm=(5.0, 5.0), step_mm=(0.0, 0.0, 5.0)), tmp_path / "studies" / "Doe")
    (series,) = find_series(tmp_path / "studies" / "Doe")
    app, service = label_app(tmp_path / "data", StubSegmenter(), studies=[tmp_path / "studies"])
    image = service.images.id_of(series.uid)
    assert image.startswith(service.images.ids()[0])
    assert len(service.images.ids()) == 1
    with calling(app) as client:
        answer = client.get("/datastore/image", params={"image": series.uid})
    (tmp_path / "fetched.nii.gz").write_bytes(answer.content)
    assert read_volume(tmp_path / "fetched.nii.gz").on_same_grid_as(read_volume(tmp_path / "studies" / "Doe"))


def test_images_are_fetched_checked_described_and_removed(place, tmp_path):
    service, client = place
    (image,) = service.images.ids()
    content = client.get("/datastore/image", params={"image": image}).content
    sample = client.post("/activelearning/first").json()
    assert sample["checksum"] == f"SHA256:{hashlib.sha256(content).hexdigest()}"
    assert sample["name"] == f"{image}.nii.gz"
    good, bad = sample["checksum"], "SHA256:00"
    assert client.head("/datastore/image", params={"image": image, "check_sum": good}).status_code == 200
    assert client.head("/datastore/image", params={"image": image, "check_sum": bad}).status_code == 404
    assert client.put("/datastore/image/info", params={"image": image}, data={"info": '{"a": 1}'}).json()["a"] == 1
    assert client.get("/datastore/image/info", params={"image": image}).json()["a"] == 1
    many = json.dumps({str(number): 0 for number in range(30)})
    refused(client.put("/datastore/image/info", params={"image": image}, data={"info": many}))
    assert "folder of studies" in refused(client.delete("/datastore/image", params={"id": image}), 403)
    path, _ = oblique_scan(tmp_path / "sent.nii.gz", seed=4)
    with path.open("rb") as file:
        sent = client.put("/datastore/image", files={"file": file}).json()["image"]
    service.result(sent)
    assert client.delete("/datastore/image", params={"id": sent}).json() == {}
    assert not [path for path in (tmp_path / "data").rglob("*") if path.name.startswith(sent)]


def test_labels_are_looked_at_and_the_newest_is_removed(place):
    service, client = place
    (image,) = service.images.ids()
    final = {"label": image, "tag": "final"}
    assert client.head("/datastore/label", params={"image": image, "tag": "final"}).status_code == 404
    drawn = read_volume(service.result(image) / "segmentation.nii.gz").voxels.copy()
    for number in (1, 2):
        drawn[number, 2, 2] = 1
        sent = {"label": ("x.bin", drawn.tobytes(order="F"))}
        data = {"params": '{"author": "Müller"}'}
        assert client.put("/datastore/label", params={"image": image}, files=sent, data=data).json()["number"] == number
    reported = client.get("/datastore/label/info", params=final).json()
    assert (reported["author"], reported["number"]) == ("Müller", 2)
    assert client.put("/datastore/label/info", params=final).json() == reported
    assert client.get("/datastore/", params={"output": "train"}).json() == [{"image": image, "label": image}]
    assert client.delete("/datastore/label", params={"id": image, "tag": "final"}).json() == {}
    assert client.get("/datastore/label/info", params=final).json()["number"] == 1
    assert "other labels cannot be removed" in refused(
        client.delete("/datastore/label", params={"id": image, "tag": "original"}), 404
    )
    assert service.mask(image).is_file()


def test_a_body_that_is_too_large_is_not_taken(tmp_path):
    app, service = label_app(tmp_path / "data", StubSegmenter(), most_upload_bytes=10_000)
    with calling(app) as client:
        answer = client.put("/datastore/image", files={"file": ("x.nii.gz", bytes(20_000))})
        damaged = client.put("/datastore/image", headers={"content-type": "multipart/form-data"}, content=b"x")
    assert refused(answer, 413).startswith("The upload is larger than 0.01 MB")
    assert refused(damaged).startswith("The request's body cannot be read")
    assert service.images.ids() == []


def test_damaged_params_and_arguments_are_one_sentence(place):
    service, client = place
    (image,) = service.images.ids()
    for text in ("{", "[1]", "[" * 5000, '{"a": 1, "a": 2}'):
        answer = client.post(f"/infer/{MODEL}", params={"image": image}, data={"params": text})
        assert refused(answer).startswith("params:")
    assert "output" in refused(client.post(f"/infer/{MODEL}", params={"image": image, "output": "xml"}))
    assert "label" in refused(client.put("/datastore/label", params={"image": image}))
    sent = {"label": ("x.bin", bytes(10))}
    for info in ('"pancreas"', "[1]", '[{"name": "pancreas", "idx": "one"}]', '{"name": "pancreas"}'):
        data = {"params": f'{{"label_info": {info}}}'}
        answer = client.put("/datastore/label", params={"image": image}, files=sent, data=data)
        assert refused(answer).startswith(("params:", "label map:"))
    author = {"params": '{"author": ["x"]}'}
    assert "author must be" in refused(client.put("/datastore/label", params={"image": image}, files=sent, data=author))


@pytest.mark.parametrize("name", ["../../outside", "/etc/passwd", "..", "data/images", "a\0b", "x" * 5000])
def test_no_name_of_a_client_is_a_path(place, tmp_path, name):
    service, client = place
    (image,) = service.images.ids()
    before = sorted(path for path in tmp_path.parent.glob("*"))
    path, _ = oblique_scan(tmp_path / "sent.nii.gz", seed=6)
    files = {"file": (name.replace("\0", "")[:200] + ".nii.gz", path.read_bytes())}
    sent = client.put("/datastore/image", params={"image": name}, files=files).json()["image"]
    assert set(service.images.ids()) == {image, sent}
    for answer in (
        client.get("/datastore/image", params={"image": f"{name}x"}),
        client.get("/datastore/label", params={"label": f"{name}x", "tag": "final"}),
        client.get("/datastore/label", params={"label": image, "tag": name}),
        client.delete("/datastore/image", params={"id": f"{name}x"}),
        client.post(f"/infer/{MODEL}", params={"session_id": name}),
    ):
        refused(answer, 404)
    assert sorted(path for path in tmp_path.parent.glob("*")) == before


def test_a_server_that_starts_again_knows_its_images_and_corrections(place, tmp_path, studies):
    service, client = place
    path, _ = oblique_scan(tmp_path / "sent.nii.gz", seed=5)
    with path.open("rb") as file:
        sent = client.put("/datastore/", params={"image": "mine"}, files={"file": file}).json()["image"]
    drawn = read_volume(service.result(sent) / "segmentation.nii.gz").voxels.copy()
    drawn[1, 2, 2] = 1
    client.put("/datastore/label", params={"image": "mine"}, files={"label": ("x.bin", drawn.tobytes(order="F"))})
    app, again = label_app(tmp_path / "data", StubSegmenter(), studies=[studies])
    assert again.images.ids() == service.images.ids()
    with calling(app) as client:
        assert client.get("/info/").json()["datastore"]["completed"] == 1
    assert again.images.id_of("mine") == sent


def test_studies_that_are_empty_are_no_fault_and_others_are(tmp_path):
    from pancascade.errors import PancascadeError

    (tmp_path / "empty").mkdir()
    app, _ = label_app(tmp_path / "data", StubSegmenter(), studies=[tmp_path / "empty"])
    with calling(app) as client:
        assert client.post("/activelearning/random").json() == {}
    with pytest.raises(PancascadeError, match="no such file or folder"):
        label_app(tmp_path / "data", StubSegmenter(), studies=[tmp_path / "nothing"])


def test_a_batch_segments_all_images_and_tells_what_failed(place, tmp_path, studies):
    (studies / "broken.nii.gz").write_bytes(b"x")
    segmenter = StubSegmenter()
    app, service = label_app(tmp_path / "more", segmenter, studies=[studies])
    with calling(app) as client:
        assert "No batch was started" in refused(client.get("/batch/infer"), 404)
        started = client.post(f"/batch/infer/{MODEL}", params={"images": "unlabeled"}).json()
        assert started["request"] == {"model": MODEL, "images": "unlabeled"}
        service.batches.wait()
        reported = client.get("/batch/infer").json()
        assert (reported["status"], segmenter.scans) == ("DONE", 1)
        assert len([line for line in reported["details"] if "segmented." in line]) == 1
        assert "broken" not in str(reported)
        assert client.delete("/batch/infer").json() is None
        assert "No batch is running" in refused(client.get("/batch/infer", params={"check_if_running": True}), 404)


def test_a_batch_that_is_stopped_ends_after_the_scan_under_way():
    batches, done = BatchTasks(), []

    def work(image):
        done.append(image)
        batches.stop()

    batches.start(["a", "b", "c"], work, request={})
    batches.wait()
    assert (done, batches.tasks[0].status) == (["a"], "STOPPED")


def test_a_server_without_training_and_scoring_says_so(tmp_path):
    app, _ = label_app(tmp_path / "data", StubSegmenter())
    with calling(app) as client:
        assert client.get("/info/").json()["trainers"] == {}
        for method in ("get", "post", "delete"):
            assert "does not train" in refused(getattr(client, method)("/train/"), 404)
        refused(client.get("/scoring/"), 404)
        assert client.get("/logs/").text == ""


def test_the_command_of_a_training_names_source_weights_and_device(tmp_path):
    command = train_command(TrainingOptions(device="cuda"), tmp_path / "results", tmp_path / "001")
    place = command.index("train")
    assert command[place:] == [
        "train", "qiu2024_corrections", "--source", str(tmp_path / "results"), "--out", str(tmp_path / "001"),
        "--device", "cuda", "--start-from", "qiu2024-small",
    ]  # fmt: skip
    assert "--start-from" not in train_command(TrainingOptions(start_from=None), tmp_path, tmp_path)


def test_sessions_are_gone_when_their_time_is_over(tmp_path):
    clock = [0.0]
    sessions = Sessions(tmp_path / "sessions", now=lambda: clock[0])
    path, _ = oblique_scan(tmp_path / "scan.nii.gz")
    session, short = sessions.add(path), sessions.add(path, expiry_s=10)
    clock[0] = 11
    sessions.remove_old()
    assert [path.name for path in (tmp_path / "sessions").iterdir()] == [session]
    clock[0] = EXPIRY_S
    sessions.folder(session)  # its time begins anew
    clock[0] = 2 * EXPIRY_S
    assert sessions.info(session)["expiry"] == EXPIRY_S
    assert short != session
    clock[0] += 1
    sessions.remove_old()
    assert list((tmp_path / "sessions").iterdir()) == []


def test_a_task_always_has_a_last_line():
    reported = Task({}).reported()
    assert reported["details"]
    assert datetime.strptime(reported["start_ts"], "%Y-%m-%d %H:%M:%S").replace(tzinfo=UTC)
