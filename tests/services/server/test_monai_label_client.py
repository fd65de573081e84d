"""MONAI Label's own client against our routes, over a socket."""

import shutil
import sys
import warnings

import nibabel as nib
import numpy as np
import pytest

pytest.importorskip("fastapi")
with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)  # it imports cgi
    client_module = pytest.importorskip("monailabel.client.client", reason="MONAI Label's client is not installed")
from label_server import MODEL, TOKEN, StubSegmenter, label_app, oblique_scan, reported, served

from pancascade.data.readers import read_data_set
from pancascade.results.corrections import corrections_of, newest_correction
from pancascade.services.server.monai_label import TrainingOptions

pytestmark = pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")  # of its connections

Refused = client_module.MONAILabelClientException


@pytest.fixture
def segmenter():
    return StubSegmenter()


@pytest.fixture
def place(tmp_path, segmenter):
    """A server with one scan in its folder of studies: its service, and a client that calls it."""
    oblique_scan(tmp_path / "studies" / "Doe_John" / "ct.nii.gz")
    studies, training = [tmp_path / "studies"], TrainingOptions(recipe="none")
    app, service = label_app(tmp_path / "data", segmenter, studies=studies, training=training)
    (tmp_path / "client").mkdir()
    with served(app) as address:
        client = client_module.MONAILabelClient(address, tmpdir=str(tmp_path / "client"), client_id="Dr. Reader")
        yield service, client
    service.close()


def voxels(path):
    return np.asarray(nib.load(path).dataobj)


def redrawn(mask, path, values=None):
    """A mask as a reader's programme saves it after an edit, its axes in another order."""
    image = nib.load(mask)
    labels = np.asarray(image.dataobj).copy()
    labels[3:6, 3:6, 3] = 1
    sent = labels if values is None else values[labels]
    other = nib.Nifti1Image(sent.astype(np.int16), image.affine)
    nib.save(other.as_reoriented(np.array([[1, -1], [0, 1], [2, 1]], float)), path)
    return labels


def test_info_tells_models_labels_trainers_and_strategies(place):
    info = place[1].info()
    assert info["labels"] == ["pancreas", "tumour"]
    assert info["models"][MODEL]["type"] == "segmentation"
    assert info["models"][MODEL]["labels"] == {"pancreas": 1, "tumour": 2}
    assert list(info["trainers"]) == [MODEL]
    assert set(info["strategies"]) == {"first", "random"}
    assert info["datastore"] == {"total": 1, "completed": 0, "label_tags": {}}


def test_the_mask_of_a_datastore_s_image_comes_voxel_for_voxel_on_an_oblique_mirrored_grid(place, tmp_path):
    service, client = place
    sample = client.next_sample("first", {})
    assert "Doe" not in str(sample)
    mask, params = client.infer(MODEL, sample["id"], {})
    scan = nib.load(tmp_path / "studies" / "Doe_John" / "ct.nii.gz")
    _, truth = oblique_scan(tmp_path / "again.nii.gz")
    found = voxels(mask)
    assert np.array_equal(found == 2, truth == 2)
    assert found[truth > 0].all()
    assert np.allclose(nib.load(mask).affine, scan.affine, atol=1e-4)
    assert params["label_names"] == {"pancreas": 1, "tumour": 2}
    assert mask.endswith(f"{sample['id']}.nii.gz")
    client.infer(MODEL, sample["id"], {})
    assert service.segmenter.scans == 1  # the second time it is known


def test_a_file_that_is_sent_along_is_segmented_and_not_kept(place, tmp_path):
    service, client = place
    path, truth = oblique_scan(tmp_path / "Roe_Jane.nii.gz", seed=1)
    mask, _ = client.infer(MODEL, "", {}, file=str(path))
    assert np.array_equal(voxels(mask) == 2, truth == 2)
    assert service.images.ids() == [client.next_sample("first", {})["id"]]
    assert list((tmp_path / "data" / "sessions").iterdir()) == []


def test_an_image_that_was_sent_is_known_by_the_client_s_name_which_is_not_kept(place, tmp_path):
    _, client = place
    path, truth = oblique_scan(tmp_path / "upload.nii.gz", seed=2)
    image = client.upload_image(str(path), "Roe^Jane 1950")["image"]
    assert image.startswith("scan-")
    assert client.upload_image(str(path), "another name")["image"] == image
    for name in (image, "Roe^Jane 1950", "another name"):
        mask, _ = client.infer(MODEL, name, {})
        assert np.array_equal(voxels(mask) == 2, truth == 2)
    kept = [path for path in (tmp_path / "data").rglob("*") if path.is_file()]
    assert not any(b"Roe" in path.read_bytes() or "Roe" in str(path.relative_to(tmp_path)) for path in kept)
    assert set(client.datastore()["objects"]) == {image, client.next_sample("first", {})["id"]}


def test_a_saved_label_becomes_a_correction_that_can_be_fetched_and_trained_on(place, tmp_path):
    service, client = place
    sample = client.next_sample("first", {})
    mask, _ = client.infer(MODEL, sample["id"], {})
    wanted = redrawn(mask, tmp_path / "edited.nii.gz")
    answer = client.save_label(sample["id"], str(tmp_path / "edited.nii.gz"), params={})
    assert (answer["image"], answer["number"]) == (sample["id"], 1)
    correction = newest_correction(service.result(sample["id"]))
    assert np.array_equal(voxels(correction.label_map), wanted)
    assert correction.record.author == "Dr. Reader"
    assert np.array_equal(voxels(client.download_label(sample["id"], "final")), wanted)
    assert np.array_equal(voxels(client.download_label(sample["id"], "original")), voxels(mask))
    assert client.next_sample("first", {}) == {}
    assert client.info()["datastore"] == {"total": 1, "completed": 1, "label_tags": {"original": 1, "final": 1}}
    labels = client.datastore()["objects"][sample["id"]]["labels"]
    assert labels["final"]["info"]["author"] == "Dr. Reader"
    (case,) = read_data_set(service.results)
    image, read = case.scan.read_ct()
    assert np.array_equal(read.voxels, wanted)
    assert image.voxels.shape == wanted.shape


def test_segments_are_known_by_their_names_whatever_their_order(place, tmp_path):
    service, client = place
    image = client.next_sample("first", {})["id"]
    mask, _ = client.infer(MODEL, image, {})
    wanted = redrawn(mask, tmp_path / "edited.nii.gz", values=np.array([0, 3, 1]))
    segments = [{"name": "tumor", "idx": 1}, {"name": "foreground_scribbles", "idx": 2}, {"name": "pancreas", "idx": 3}]
    client.save_label(image, str(tmp_path / "edited.nii.gz"), params={"label_info": segments, "author": "A. B."})
    assert np.array_equal(voxels(newest_correction(service.result(image)).label_map), wanted)
    with pytest.raises(Refused) as refused:
        client.save_label(image, str(tmp_path / "edited.nii.gz"), params={"label_info": [{"name": "liver", "idx": 1}]})
    assert reported(refused.value.msg) == (
        "label map: segment 'liver' is neither pancreas nor tumour. Rename the segment, or remove it."
    )
    assert len(corrections_of(service.result(image))) == 1


def test_a_label_is_saved_to_an_image_that_nobody_segmented_before(place, tmp_path):
    service, client = place
    image = client.next_sample("first", {})["id"]
    shutil.copy(tmp_path / "studies" / "Doe_John" / "ct.nii.gz", tmp_path / "scan.nii.gz")
    labels = nib.load(tmp_path / "scan.nii.gz")
    drawn = np.zeros(labels.shape, np.uint8)
    drawn[20:30, 20:30, 8:12] = 1
    nib.save(nib.Nifti1Image(drawn, labels.affine), tmp_path / "drawn.nii.gz")
    client.save_label(image, str(tmp_path / "drawn.nii.gz"), tag="final")
    assert np.array_equal(voxels(newest_correction(service.result(image)).label_map), drawn)


def test_a_session_is_segmented_and_ends(place, tmp_path):
    service, client = place
    path, truth = oblique_scan(tmp_path / "session.nii.gz", seed=3)
    session = client.create_session(str(path))["session_id"]
    assert client.get_session(session)["name"] == session
    mask, _ = client.infer(MODEL, "whatever", {}, session_id=session)
    assert np.array_equal(voxels(mask) == 2, truth == 2)
    client.remove_session(session)
    with pytest.raises(Refused) as refused:
        client.get_session(session)
    assert refused.value.status_code == 404
    assert len(service.images.ids()) == 1


def test_training_starts_tells_its_state_and_stops(place, tmp_path, monkeypatch):
    service, client = place
    with pytest.raises(Refused) as refused:
        client.train_start(MODEL, {})
    assert reported(refused.value.msg) == "There is no correction to train on yet. Save one first."
    image = client.next_sample("first", {})["id"]
    redrawn(client.infer(MODEL, image, {})[0], tmp_path / "edited.nii.gz")
    client.save_label(image, str(tmp_path / "edited.nii.gz"))
    gate = "import sys; print('epoch 1', flush=True); sys.stdin.close(); import signal; signal.pause()"
    monkeypatch.setattr(service.training, "_command", lambda *_: [sys.executable, "-c", gate])
    started = client.train_start(MODEL, {"epochs": 3})
    assert started["status"] == "RUNNING"
    assert started["request"] == {"model": MODEL, "client_id": "Dr. Reader", "run": "001"}
    assert client.train_status(check_if_running=True)
    with pytest.raises(Refused) as refused:
        client.train_start(MODEL, {})
    assert "429" in refused.value.msg
    stopped = client.train_stop()
    assert (stopped["status"], client.train_status()["status"]) == ("STOPPED", "STOPPED")
    assert stopped["details"]
    assert not client.train_status(check_if_running=True)
    assert client.train_stop() is None


@pytest.mark.parametrize(("ending", "state"), [(0, "DONE"), (2, "ERROR")])
def test_a_training_that_has_ended_tells_how(place, tmp_path, monkeypatch, ending, state):
    service, client = place
    image = client.next_sample("first", {})["id"]
    redrawn(client.infer(MODEL, image, {})[0], tmp_path / "edited.nii.gz")
    client.save_label(image, str(tmp_path / "edited.nii.gz"))
    code = f"print('Best weights: {tmp_path}/best.safetensors'); raise SystemExit({ending})"
    monkeypatch.setattr(service.training, "_command", lambda *_: [sys.executable, "-c", code])
    client.train_start(None, {})
    service.training.wait()
    told_now = client.train_status()
    assert (told_now["status"], told_now["details"][-1]) == (state, "Best weights: best.safetensors")


def test_what_goes_wrong_is_one_sentence(place, tmp_path, segmenter):
    _, client = place
    image = client.next_sample("first", {})["id"]
    (tmp_path / "damaged.nii.gz").write_bytes(b"\x1f\x8b damaged")
    nothing = str(tmp_path / "damaged.nii.gz")
    segmenter.fault = "scan: the networks answer with what are no numbers. Segment again."
    for call, sentence in (
        (lambda: client.infer("other", image, {}), "There is no such model; there is stub."),
        (lambda: client.infer(MODEL, "../../etc/passwd", {}), "There is no such image."),
        (lambda: client.infer(MODEL, "", {}), "Neither image, nor session_id, nor a file was sent."),
        (lambda: client.infer(MODEL, image, {}), "scan: the networks answer with what are no numbers."),
        (lambda: client.infer(MODEL, "", {}, file=nothing), "upload: this is not a NIfTI image"),
        (lambda: client.upload_image(nothing, "x"), "upload: this is not a NIfTI image"),
        (lambda: client.next_sample("clever", {}), "There is no such strategy; there are first and random."),
        (lambda: client.save_label("nothing", nothing), "There is no such image."),
        (lambda: client.save_label(image, nothing, tag="v1"), "Readers save labels under the tag final"),
        (lambda: client.download_label(image, "final"), "This image has no label of the tag final."),
        (lambda: client.infer(MODEL, image, {"result_extension": ".exe"}), "scan: the networks"),
        (client.train_status, "No training was started."),
    ):
        with pytest.raises(Refused) as refused:
            call()
        assert reported(refused.value.msg).startswith(sentence)
    assert not list((tmp_path / "data").rglob("result.json"))


def test_a_client_without_the_token_learns_how_to_get_it_and_then_all_is_open(tmp_path, segmenter):
    oblique_scan(tmp_path / "studies" / "ct.nii.gz")
    app, _ = label_app(tmp_path / "data", segmenter, studies=[tmp_path / "studies"], token=TOKEN)
    with served(app) as address:
        client = client_module.MONAILabelClient(address, tmpdir=str(tmp_path))
        assert client.auth_enabled()
        with pytest.raises(Refused) as refused:
            client.info()
        assert refused.value.status_code == 401
        with pytest.raises(Refused):
            client.auth_token("anybody", "guessed")
        assert not client.auth_valid_token()
        client.update_auth(client.auth_token("anybody", TOKEN))
        assert client.auth_valid_token()
        assert client.info()["name"] == "pancascade"
        assert client.infer(MODEL, client.next_sample("random", {})["id"], {})[0]
