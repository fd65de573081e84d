"""A server of the MONAI Label part alone, on a loopback port, with a stub in the networks' place."""

import json
import socket
import sys
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Thread

import numpy as np
import uvicorn
from fastapi import Depends, FastAPI, Header, HTTPException

from pancascade.errors import UnreadableError
from pancascade.files.digests import content_digest
from pancascade.imaging.io import read_volume, write_volume
from pancascade.imaging.volume.digest import volume_digest
from pancascade.results.result import Result, ScanGrid, write_result
from pancascade.services.server.monai_label import MonaiLabel, monai_label_router

sys.path.insert(0, str(Path(__file__).parents[2] / "inference"))

ORGAN_FROM_HU, TUMOUR_FROM_HU = 95, 190
"""Of the phantom."""
TOKEN = "a-token-of-the-test"
MODEL = "stub"


def oblique_scan(path, *, seed=0):
    """A CT of an abdomen at an angle to all axes, one of them mirrored; the scan and its true labels."""
    from abdomen_phantom import abdomen, centred, rotation  # a worker of the tests needs no torch

    axes = rotation(0, 12) @ rotation(2, -17) @ np.diag([1.0, -1.0, 1.0])
    volume, truth = abdomen(centred(axes))
    hu = volume.voxels.copy()
    hu[0, 0, 0] -= seed  # another scan
    path.parent.mkdir(parents=True, exist_ok=True)
    write_volume(volume.with_voxels(hu), path)
    return path, truth


class StubSegmenter:
    """Knows organ and tumour by their Hounsfield units."""

    model = MODEL
    description = "of the test"

    def __init__(self):
        self.scans = 0
        self.fault = None

    def segment(self, scan, out):
        if self.fault is not None:
            raise UnreadableError(self.fault)
        self.scans += 1
        volume = read_volume(scan)
        labels = (volume.voxels > ORGAN_FROM_HU).astype(np.uint8)
        labels[volume.voxels > TUMOUR_FROM_HU] = 2
        out.mkdir(parents=True)
        write_volume(volume.with_voxels(labels), out / "segmentation.nii.gz")
        grid = ScanGrid(shape=volume.shape, affine=volume.affine.tolist())
        files = {"segmentation.nii.gz": content_digest(out / "segmentation.nii.gz")}
        result = Result(
            scan=scan.parent.name,
            scan_digest=volume_digest(volume),
            model=MODEL,
            measurements={},
            grid=grid,
            files=files,
        )
        write_result(result, out / "result.json")


def label_app(folder, segmenter, *, studies=(), training=None, token=None, **options):
    """The application and what it stands on."""
    service = MonaiLabel(folder, segmenter, studies=studies, training=training)

    def require_token(authorization: str = Header("")) -> None:
        if token is not None and authorization != f"Bearer {token}":
            raise HTTPException(401, "A token is needed.")

    app = FastAPI()
    app.include_router(monai_label_router(service, dependencies=[Depends(require_token)], token=token, **options))
    return app, service


@contextmanager
def served(app):
    """The address of the application, answered by uvicorn in a thread."""
    ready = Event()

    class Server(uvicorn.Server):
        async def startup(self, sockets=None):
            await super().startup(sockets)
            ready.set()

    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        server = Server(uvicorn.Config(app, log_level="error", access_log=False, lifespan="off"))
        thread = Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
        thread.start()
        assert ready.wait(600)
        try:
            yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join()


def reported(text):
    """The sentence of a refusal that the client raises."""
    return json.loads(text.partition("Response: ")[2])["detail"]
