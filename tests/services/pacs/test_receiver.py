"""Objects as a faulty sender may send them: kept whole or refused by a status, and never an error in a thread."""

from io import BytesIO
from random import Random
from types import SimpleNamespace

import pytest
from pydicom.uid import DeflatedExplicitVRLittleEndian
from stand_ins import study, with_meta

from pancascade.imaging.io.dicom import deflated
from pancascade.services.pacs.incoming import Incoming
from pancascade.services.pacs.node_settings import NodeSettings, Peer
from pancascade.services.pacs.receiver import NOT_AS_ANNOUNCED, NOT_UNDERSTOOD, SUCCESS, Receiver


class Association:
    """Of a sender."""


@pytest.fixture
def receive(tmp_path):
    """Give an object to a receiver that does not listen: its status."""
    settings = NodeSettings(send_to=Peer(ae_title="PACS", host="127.0.0.1", port=9))
    receiver = Receiver(settings, Incoming(tmp_path / "receiving"), changed=lambda: None)
    association = Association()

    def store(content: bytes, *, announced: str) -> int:
        request = SimpleNamespace(AffectedSOPInstanceUID=announced)
        event = SimpleNamespace(assoc=association, request=request, encoded_dataset=lambda: content)
        return receiver._store(event)

    return store


@pytest.fixture
def image():
    """An encoded image, and its UID."""
    data, buffer = with_meta(study()[0]), BytesIO()
    data.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue(), data.SOPInstanceUID


def kept(folder) -> list[bytes]:
    return [path.read_bytes() for path in folder.rglob("*.dcm")]


def test_an_image_is_kept_byte_for_byte(receive, image, tmp_path):
    assert receive(image[0], announced=image[1]) == SUCCESS
    assert kept(tmp_path) == [image[0]]


def test_an_image_under_another_name_than_announced_is_refused(receive, image, tmp_path):
    assert receive(image[0], announced="1.2.3") == NOT_AS_ANNOUNCED
    assert kept(tmp_path) == []


@pytest.mark.parametrize("seed", range(4))
def test_damaged_objects_are_kept_as_they_are_or_refused(receive, image, tmp_path, seed):
    random, sent = Random(seed), []
    for _ in range(25):
        content = bytearray(image[0])
        for _ in range(random.randint(1, 6)):
            content[random.randrange(132, 900)] = random.randrange(256)
        content = content[: random.choice((len(content), random.randrange(len(content))))]
        status = receive(bytes(content), announced=image[1])
        assert status in (SUCCESS, NOT_AS_ANNOUNCED, NOT_UNDERSTOOD)
        sent += [bytes(content)] if status == SUCCESS else []
    assert set(kept(tmp_path)) <= set(sent)
    assert bool(kept(tmp_path)) == bool(sent)


def test_an_image_that_unpacks_to_more_than_the_memory_is_refused(receive, tmp_path, monkeypatch):
    data, buffer = with_meta(study()[0]), BytesIO()
    data.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    data.add_new(0x00091010, "OB", bytes(200_000))
    data.save_as(buffer, enforce_file_format=True)
    monkeypatch.setattr(deflated, "MOST_BYTES", 100_000)
    assert receive(buffer.getvalue(), announced=data.SOPInstanceUID) == NOT_UNDERSTOOD
    assert kept(tmp_path) == []
    monkeypatch.undo()
    assert receive(buffer.getvalue(), announced=data.SOPInstanceUID) == SUCCESS
