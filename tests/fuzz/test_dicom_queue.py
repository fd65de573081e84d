"""A DICOM node's folder: damaged, with foreign and missing entries, killed between any two moves. Nothing blocks it.

A study that was whole ends with its result sent, one that was broken off is never done; in the end the queue is empty.
"""

import json
import os
import shutil
from contextlib import closing
from pathlib import Path
from random import Random

import pytest

pytest.importorskip("pynetdicom")

from byte_mutations import damaged

from pancascade.errors import OutputError
from pancascade.segmentation.batch.case_folder import written_case
from pancascade.segmentation.batch.ledger import Ledger, LedgerEntry
from pancascade.services.pacs.incoming import Incoming
from pancascade.services.pacs.node import DicomNode
from pancascade.services.pacs.node_settings import NodeSettings, Peer
from pancascade.services.pacs.queue import StudyQueue
from pancascade.services.pacs.sender import Delivery

SEED, TRIES = int(os.environ.get("FUZZ_SEED", "0")), max(20, int(os.environ.get("FUZZ_COUNT", "200")) // 20)
ROUNDS = 60
SETTINGS = NodeSettings(send_to=Peer(ae_title="PACS", host="127.0.0.1", port=1), quiet_s=0, patience_s=0.001)


class KilledError(BaseException):
    """No Exception: nothing may catch it."""


def work(job):
    with written_case(job.out, job.scan.case) as folder:
        (folder / "segmentation.dcm").write_bytes(b"result")
    return LedgerEntry(case=job.scan.case, state="done", input=job.scan.stamp)


def build(folder: Path) -> None:
    """A study in every step."""
    for place in ("receiving/whole", "receiving/half", "to_segment/waits", "to_send/made", "work/begun", "undelivered"):
        (folder / place).mkdir(parents=True)
    for study in ("receiving/whole", "receiving/half", "to_segment/waits"):
        (folder / study / "1.dcm").write_bytes(study.encode())
        (folder / study / f"{len(study)}.dcm").write_bytes(b"image")
    (folder / "receiving/half/.open-12ab34cd").touch()
    (folder / "to_segment/waits.begun").write_bytes(b"+")
    (folder / "to_send/made/segmentation.dcm").write_bytes(b"result")
    line = LedgerEntry(case="made", state="done", input="stamp").model_dump_json()
    (folder / "to_send/made/entry.json").write_text(line)
    (folder / "ledger.jsonl").write_text(line.replace("made", "former") + "\n")


def mutate(folder: Path, random: Random) -> str:
    """Damage what a node wrote for itself, or add what it did not."""
    place = folder / random.choice(("receiving", "to_segment", "to_send", "undelivered", "work"))
    place.mkdir(exist_ok=True)
    what = random.choice(("damaged", "gone", "foreign", "link", "folder", "copy", "nothing"))
    if what == "damaged":
        path = folder / random.choice(("to_send/made/entry.json", "ledger.jsonl", "to_segment/waits.begun"))
        if path.is_file():
            path.write_bytes(damaged(path.read_bytes(), random)[1])
    elif what == "gone":
        path = folder / random.choice(("to_send/made/entry.json", "ledger.jsonl", "to_segment/waits.begun", "work"))
        shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
    elif what == "foreign":
        (place / random.choice((".DS_Store", "notes.txt", "1.dcm"))).write_bytes(b"x")
    elif what == "link" and not (place / "link").is_symlink():
        (place / "link").symlink_to(random.choice(("nowhere", "..", "link")))
    elif what == "folder":
        name = random.choice((".Trash", "empty", "waits.begun", "made/entry.json", "waits/9.dcm"))
        if not (place / name).exists():
            (place / name).mkdir(parents=True)
    elif what == "copy":
        for other in ("to_send", "undelivered", "work"):
            shutil.copytree(folder / "to_segment/waits", folder / other / "waits", dirs_exist_ok=True)
    return f"{what} in {place.name}"


def serve(folder: Path) -> None:
    """What a node does, until nothing is left to do."""
    node, now = DicomNode(SETTINGS, folder, work=work), [0.0]
    node._queue = StudyQueue(folder, made_by="m")
    node._incoming = Incoming(folder / "receiving", clock=lambda: now[0])
    with closing(Ledger(folder)) as node._ledger:
        for _ in range(ROUNDS):
            now[0] += 1
            node._close_studies()
            worked = node._segment_next()
            node._send_results()
            if not worked and not node._queue.results() and node._incoming.next_due_s(quiet_s=0, patience_s=1) is None:
                return
    raise AssertionError("it did not end")


@pytest.mark.parametrize("number", range(TRIES))
def test_every_study_of_a_mutated_queue_ends_once_or_is_refused(tmp_path, monkeypatch, number):
    random, sent = Random(f"{SEED} queue {number}"), []

    def send(files, *_, taken, **__):
        for file in files:
            sent.append(file.parent.name)
            taken(file)
        return Delivery({}, None)

    monkeypatch.setattr("pancascade.services.pacs.node.send", send)
    build(tmp_path)
    reported = [mutate(tmp_path, random) for _ in range(random.choice((1, 1, 2, 3)))]
    moves = [random.randrange(12)]
    with monkeypatch.context() as patch:
        replace = Path.replace

        def counted(self, target):
            moves[0] -= 1
            if moves[0] < 0:
                raise KilledError
            return replace(self, target)

        patch.setattr(Path, "replace", counted)
        try:
            serve(tmp_path)
        except KilledError:
            reported.append("killed")
    serve(tmp_path)

    lines = []
    for line in (tmp_path / "ledger.jsonl").read_bytes().splitlines():
        try:
            lines.append(json.loads(line))
        except ValueError:
            continue
    states = {line["case"].split("-")[0]: line["state"] for line in lines if "case" in line}
    expected = {"waits": "done", "made": "done", "whole": "done", "half": "failed"}
    found = {case: "failed" if states.get(case) == "refused" else states.get(case) for case in expected}
    assert found == expected, reported
    assert {"made", "waits"} <= set(sent), reported
    assert not [name for name in sent if name.startswith("half")], reported
    for place in ("receiving", "to_segment", "to_send", "work"):
        left = [path for path in (tmp_path / place).iterdir() if path.is_dir() and not path.is_symlink()]
        assert [path.name for path in left if not path.name.endswith(".begun")] == [], reported


@pytest.mark.parametrize("name", ["receiving", "to_segment", "work", "to_send", "ledger.jsonl"])
def test_a_queue_that_cannot_be_one_is_refused_in_a_sentence(tmp_path, name):
    if name == "ledger.jsonl":
        (tmp_path / name).mkdir()
    else:
        (tmp_path / name).touch()
    with pytest.raises(OutputError) as error:
        DicomNode(SETTINGS.model_copy(update={"port": 0}), tmp_path, work=work).run()
    assert len(str(error.value)) <= 200


def test_a_place_that_cannot_be_a_queue_is_refused_by_its_option(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match=r"^.*q: cannot be written \(.*\)\. Choose another --folder\.$"):
        DicomNode(SETTINGS.model_copy(update={"port": 0}), tmp_path / "file" / "q", work=work).run()
