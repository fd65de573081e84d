"""MONAI Label's routes in the server itself: behind its guard, by its queue and processes."""

import nibabel as nib
import numpy as np
import pytest
from label_server import oblique_scan
from label_work import work
from running import running

from pancascade.errors import PancascadeError
from pancascade.results.corrections import newest_correction
from pancascade.segmentation.batch.batch_options import SegmentOptions

TOKEN = "a-token-of-the-tests"


def test_a_reader_gets_a_mask_corrects_it_and_the_correction_is_kept_without_a_job(tmp_path):
    _, truth = oblique_scan(tmp_path / "studies" / "ct.nii.gz")
    with running(tmp_path / "data", work=work, studies=(tmp_path / "studies",)) as server:
        client = server.client
        assert list(client.get("/info/").json()["trainers"]) == ["qiu2024-small"]
        image = client.post("/activelearning/first").json()["id"]
        answer = client.post("/infer/qiu2024-small", params={"image": image, "output": "image"})
        (tmp_path / "mask.nii.gz").write_bytes(answer.content)
        mask = np.asarray(nib.load(tmp_path / "mask.nii.gz").dataobj).copy()
        assert np.array_equal(mask == 2, truth == 2)
        assert client.get("/jobs").json() == {"jobs": []}
        mask[1, 1, 1] = 1
        files = {"label": ("x.bin", mask.astype(np.uint8).tobytes(order="F"))}
        assert client.put("/datastore/label", params={"image": image}, files=files).json()["number"] == 1
        result = server.app.state.labels.result(image)
        assert np.array_equal(np.asarray(nib.load(newest_correction(result).label_map).dataobj), mask)
        assert server.on_disk() == set()
        sent = client.put("/datastore/image", files={"file": ("x.nii.gz", b"no scan")})
        assert (sent.status_code, server.detail(sent)[:30]) == (415, "This is no scan of a supported")
        big = client.put("/datastore/image", files={"file": ("x.nii.gz", bytes(1_500_000))})
        assert (big.status_code, server.detail(big)[:22]) == (413, "The upload is larger t")


def test_results_of_another_pancreas_model_have_another_name(tmp_path):
    options = SegmentOptions(pancreas_model="nets/other.onnx")
    with running(tmp_path / "data", options=options) as server:
        assert list(server.client.get("/info/").json()["models"]) == ["qiu2024-small-after-other.onnx"]


def test_the_guard_asks_for_the_token_and_lets_it_be_exchanged(tmp_path):
    with running(tmp_path / "data", token=TOKEN) as server:
        for path in ("/info/", "/datastore/", "/train/", "/auth/token/valid", "/logs/"):
            assert server.client.get(path).status_code == 401
        assert server.client.get("/auth/").json()["enabled"] is True
        token = server.client.post("/auth/token", data={"username": "any", "password": TOKEN}).json()
        headers = {"Authorization": f"{token['token_type']} {token['access_token']}"}
        assert server.client.get("/info/", headers=headers).json()["name"] == "pancascade"


def test_studies_that_are_not_there_are_said_at_the_start(tmp_path):
    with pytest.raises(PancascadeError, match="no such file or folder"), running(tmp_path, studies=(tmp_path / "no",)):
        pass
