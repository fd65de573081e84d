"""The verb: its options, its end, and what a kill leaves."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from stand_ins import Pacs, RunningNode, associated, store, study, with_meta

from pancascade.errors import PacsError
from pancascade.services.pacs.node_settings import parse_peer

# A node whose work says that it has begun and never ends: it can be killed in the middle however slow the machine is.
ENDLESS = """
import signal, sys, threading
signal.signal(signal.SIGINT, signal.default_int_handler)  # tests in the background were started with it ignored
sys.path[:0] = sys.argv[1].split(":")
import pancascade.segmentation.batch.case_work as case_work
def endless(job):
    print("at work", flush=True)
    threading.Event().wait()
case_work.do_case, case_work.load_batch_models = endless, lambda options: None
sys.argv[:2] = ["pancascade", "dicom-node"]
from pancascade.cli.app import main
main()
"""


class Node:
    """The command line in a process of its own."""

    def __init__(self, folder: Path, send_to: int) -> None:
        places = os.pathsep.join(sys.path)
        given = ("--send-to", f"PACS@127.0.0.1:{send_to}", "--folder", folder, "--port", "0", "--quiet-time", "0")
        self.process = subprocess.Popen(
            [sys.executable, "-c", ENDLESS, places, *map(str, given)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.port = int(self.wait_for("listens on").split("127.0.0.1:")[1].split(";")[0])

    def wait_for(self, text: str) -> str:
        while True:
            line = self.process.stdout.readline()
            assert line, self.process.stderr.read()
            if text in line:
                return line

    def end(self, number: int) -> tuple[int, str, str]:
        self.process.send_signal(number)
        out, err = self.process.communicate()
        return self.process.returncode, out, err


def test_after_kill_9_in_the_middle_of_the_work_nothing_is_lost(tmp_path, pacs, log):
    node, images = Node(tmp_path / "queue", pacs.port), study(2)
    store(node.port, study(1))
    node.wait_for("at work")
    half_sent = associated(node.port, *images)
    for image in images[:3]:
        assert half_sent.send_c_store(with_meta(image)).Status == 0
    assert node.end(signal.SIGKILL)[0] == -signal.SIGKILL
    again = RunningNode(tmp_path / "queue", pacs.port, patience_s=0.1)
    try:
        assert {each.PatientID for each in pacs.take(3)} == {"MRN-1"}
        log.wait_for("the results were sent to")
        assert "after 3 images" in "\n".join(log.lines) or "after 3 images" in log.wait_for("half_sent")
        assert again.left() == []
    finally:
        again.stop()
    assert not pacs.has_more


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_sigterm_and_ctrl_c_end_it_cleanly_also_at_work(tmp_path, number):
    node = Node(tmp_path / "queue", 9)
    store(node.port, study())
    node.wait_for("at work")
    code, out, err = node.end(number)
    assert (code, out) == (0, "Ended. The next run continues with the queue.\n")
    assert "Traceback" not in err
    left = sorted(path.name for path in (tmp_path / "queue").rglob("*") if path.is_file())
    assert len([name for name in left if name.endswith(".dcm")]) == 6
    assert left[0] != ".pancascade-lock"
    assert not [name for name in left if name.endswith(".begun")]


def test_a_peer_is_title_host_and_port():
    peer = parse_peer("ORTHANC@pacs.hospital.example:4242")
    assert (peer.ae_title, peer.host, peer.port) == ("ORTHANC", "pacs.hospital.example", 4242)
    assert parse_peer("A@[::1]:104").host == "::1"


@pytest.mark.parametrize(
    "text", ["", "ORTHANC", "ORTHANC@host", "@host:104", "A@host:0", "A@host:70000", "A" * 17 + "@h:1"]
)
def test_any_other_peer_is_refused_in_a_sentence(text):
    with pytest.raises(PacsError, match=r"^--send-to: .*AE@HOST:PORT") as refused:
        parse_peer(text)
    assert len(str(refused.value)) <= 200


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (("--send-to", "nonsense"), "AE@HOST:PORT"),
        (("--ae-title", "a title that is too long"), "ae_title: an AE title has 1 to 16"),
        (("--allow", "back\\slash"), "allowed: an AE title has 1 to 16"),
        (("--quiet-time", "-1"), "quiet_s"),
        (("--port", "70000"), "port"),
        (("--tls-key", "key.pem"), "TLS needs --tls-certificate, --tls-key and --tls-ca."),
        (("--model", "no-such-model"), "no-such-model"),
    ],
)
def test_options_that_cannot_be_are_one_sentence(pancascade, tmp_path, given, said):
    code, out, err = pancascade("dicom-node", "--send-to", "A@127.0.0.1:9", "--folder", tmp_path / "queue", *given)
    assert (code, out) == (2, "")
    assert said in err
    assert err.count("\n") == 1
    assert len(err) <= 210


def test_a_port_in_use_ends_it_in_a_sentence(pancascade, tmp_path, monkeypatch):
    monkeypatch.setattr("pancascade.segmentation.batch.case_work.load_batch_models", lambda options: None)
    with Pacs() as there:
        given = ("--send-to", f"PACS@127.0.0.1:{there.port}", "--port", there.port, "--folder", tmp_path / "queue")
        code, _, err = pancascade("dicom-node", *given)
    assert code == 2
    assert "cannot listen there (address already in use). Choose another --port" in err
    assert err.count("\n") == 1


def test_without_the_extra_it_says_how_to_get_it(pancascade, tmp_path, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    code, _, err = pancascade("dicom-node", "--send-to", "A@127.0.0.1:9", "--folder", tmp_path / "queue")
    assert (code, 'pip install "pancascade[pacs]"' in err) == (2, True)
