"""What the workers of the tests do: as the content of the upload says, and quickly."""

import json
import os
import signal
from pathlib import Path

from pancascade.execution.worker_process import send_to_parent
from pancascade.segmentation.batch.ledger import CodedSentence
from pancascade.services.server.job import JobProgress, JobSummary
from pancascade.services.server.job_folder import JobFolder
from pancascade.services.server.scan_work import Outcome, ScanTask

HEAD = (348).to_bytes(4, "little")
"""As NIfTI begins, so that the server takes it for a scan."""

FILES = {
    "segmentation.nii.gz": b"mask",
    "overview.png": b"picture",
    "probability_pancreas.nii.gz": b"pancreas",
    "probability_tumour.nii.gz": b"tumour",
    "report.html": b"<!DOCTYPE html><title>scan-1</title><h1>A report</h1>",
}


def upload(what: str = "") -> bytes:
    """An upload that tells the worker what to do."""
    return HEAD + what.encode() + bytes(64)


def work(task: ScanTask) -> Outcome:
    """Find what the upload says."""
    content = task.upload.read_bytes()
    send_to_parent(JobProgress(doing="looking", done=1, total=3))
    if b"raise" in content:
        raise ValueError("something of the patient")
    if b"die" in content:
        os.kill(os.getpid(), signal.SIGKILL)
    if b"deaf" in content:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if b"hold" in content:
        (task.folder / "half-done").write_bytes(b"half")
        send_to_parent(JobProgress(doing="holding", done=2, total=3))
        (task.folder.parents[1] / "gate").read_bytes()  # comes back when somebody has opened the gate
    if b"refuse" in content:
        return Outcome("refused", 0.1, CodedSentence(code="not_ct", sentence=f"{task.name}: this is no CT. Give a CT."))
    write_result(JobFolder(task.folder), task.name)
    return Outcome("done", 0.1, summary=JobSummary(pancreas_ml=70.25, lesions=1, tumour_ml=2.5, tumour_score=0.5))


def write_result(folder: JobFolder, name: str) -> None:
    folder.scan.write_bytes(b"the scan")
    folder.result.mkdir()
    for file, content in FILES.items():
        (folder.result / file).write_bytes(content)
    (folder.result / "result.json").write_text(json.dumps({"scan": name}))


def open_gate(folder: Path) -> None:
    """Let one worker go on that holds, or will."""
    with (folder / "gate").open("wb"):
        pass
