"""A real PACS: Orthanc in a folder of its own, on loopback ports that the system has chosen."""

import base64
import json
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request
from io import BytesIO
from pathlib import Path
from typing import Any

import pydicom

PROGRAM = shutil.which("Orthanc") or shutil.which("Orthanc", path="/usr/sbin")
DICOMWEB = next(
    (
        str(place)
        for folder in ("/usr/share/orthanc/plugins", "/usr/lib/orthanc")
        for place in Path(folder).glob("libOrthancDicomWeb.so*")
    ),
    None,
)
USER, PASSWORD = "reader", "correct horse"
_PATIENCE_S = 120


def held_socket() -> socket.socket:
    """Holds a port that Orthanc, which cannot choose one itself, may listen on all the same."""
    held = socket.socket()
    held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    held.bind(("127.0.0.1", 0))
    return held


class Orthanc:
    """Orthanc, started and stopped by a test; what it has stored stays while it is down.

    Args:
        folder: Of its storage.
        title: Its AE title.
    """

    def __init__(self, folder: Path, *, title: str = "ORTHANC") -> None:
        self._held = [held_socket(), held_socket()]
        self.port, self.http_port = (held.getsockname()[1] for held in self._held)
        self._process: subprocess.Popen[bytes] | None = None
        self._folder = folder
        settings: dict[str, Any] = {
            "Name": "test",
            "StorageDirectory": str(folder / "storage"),
            "IndexDirectory": str(folder / "storage"),
            "Plugins": [DICOMWEB] if DICOMWEB else [],
            "DicomWeb": {"Enable": True, "Root": "/dicom-web/"},
            "DicomServerEnabled": True,
            "DicomAet": title,
            "DicomCheckCalledAet": True,
            "DicomPort": self.port,
            "HttpPort": self.http_port,
            "RemoteAccessAllowed": False,
            "AuthenticationEnabled": True,
            "RegisteredUsers": {USER: PASSWORD},
            "DicomAlwaysAllowStore": True,
            "SaveJobs": False,
        }
        folder.mkdir(parents=True)
        (folder / "orthanc.json").write_text(json.dumps(settings))

    @property
    def dicomweb(self) -> str:
        return f"http://127.0.0.1:{self.http_port}/dicom-web"

    def start(self) -> None:
        with (self._folder / "log").open("ab") as log:
            command = [str(PROGRAM), str(self._folder / "orthanc.json")]
            self._process = subprocess.Popen(command, stdout=log, stderr=log, cwd=self._folder)
        until = time.monotonic() + _PATIENCE_S
        while not self._answers():
            assert self._process.poll() is None and time.monotonic() < until, (self._folder / "log").read_text()
            time.sleep(0.05)

    def stop(self) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait(_PATIENCE_S)
            self._process = None

    def close(self) -> None:
        """Stop it for good, and give its ports back."""
        self.stop()
        for held in self._held:
            held.close()

    def get(self, place: str) -> Any:
        return json.loads(self._bytes(place))

    def instances(self) -> list[pydicom.Dataset]:
        """All that it has stored."""
        names = self.get("/instances")
        return [pydicom.dcmread(BytesIO(self._bytes(f"/instances/{name}/file"))) for name in names]

    def _answers(self) -> bool:
        try:
            self.get("/system")
        except (urllib.error.URLError, ConnectionError):
            return False
        return True

    def _bytes(self, place: str) -> bytes:
        secret = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.http_port}{place}", headers={"Authorization": f"Basic {secret}"}
        )
        with urllib.request.urlopen(request, timeout=_PATIENCE_S) as answer:
            return answer.read()
