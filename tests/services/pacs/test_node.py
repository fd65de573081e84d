"""A node between a scanner and a PACS, all on loopback ports that the system has chosen."""

import json
import socket
from io import BytesIO
from threading import Event, Thread

import highdicom
import numpy as np
import pytest
from dicom_writing import IDENTIFIERS
from stand_ins import (
    RTSTRUCT,
    SEG,
    SR,
    Pacs,
    RunningNode,
    associated,
    mask_of,
    quick,
    segmented,
    store,
    study,
    with_meta,
    without_ct,
)

from pancascade.errors import OutputError, PacsError
from pancascade.imaging.io import read_volume
from pancascade.services.pacs.node import MOST_ATTEMPTS, DicomNode
from pancascade.services.pacs.node_settings import NodeSettings, Peer


def ledger(node: RunningNode) -> list[dict]:
    return [json.loads(line) for line in (node.folder / "ledger.jsonl").read_text().splitlines()]


def require_three_of(found, images):
    """One SEG, RTSTRUCT and SR, of the patient and study of these images."""
    assert sorted(each.SOPClassUID for each in found) == sorted((SEG, RTSTRUCT, SR))
    for each in found:
        assert (each.StudyInstanceUID, each.PatientID) == (images[0].StudyInstanceUID, images[0].PatientID)


def require_results_of(found, images, tmp_path):
    """SEG, RTSTRUCT and SR, of the patient and study of these images, with the mask of the scan voxel for voxel."""
    require_three_of(found, images)
    (segmentation,) = (each for each in found if each.SOPClassUID == SEG)
    folder = tmp_path / images[0].PatientID
    folder.mkdir()
    for number, image in enumerate(images):
        with_meta(image).save_as(folder / f"{number}.dcm", enforce_file_format=True)
    buffer = BytesIO()
    segmentation.save_as(buffer, enforce_file_format=True)
    pixels = highdicom.seg.segread(BytesIO(buffer.getvalue())).get_pixels_by_source_instance(
        [image.SOPInstanceUID for image in images], combine_segments=True, assert_missing_frames_are_empty=True
    )
    assert np.array_equal(pixels, mask_of(read_volume(folder)).voxels.transpose(2, 1, 0))


def test_an_echo_is_answered(start, pacs):
    association = associated(start(pacs.port).port)
    assert association.send_c_echo().Status == 0
    association.release()


def test_a_study_comes_back_as_segmentation_contours_and_report(start, pacs, log, tmp_path):
    node, images = start(pacs.port, work=segmented), study()
    store(node.port, images)
    require_results_of(pacs.take(3), images, tmp_path)
    log.wait_for("the results were sent to PACS@127.0.0.1")
    (line,) = ledger(node)
    assert (line["state"], line["reason"]) == ("done", None)
    assert node.left() == []
    assert not pacs.has_more
    reported = "\n".join(log.lines) + (node.folder / "ledger.jsonl").read_text()
    uids = [images[0].StudyInstanceUID, images[0].SeriesInstanceUID, images[0].SOPInstanceUID]
    assert not [text for text in (*IDENTIFIERS.values(), images[0].PatientID, *uids) if text in reported]


def test_two_studies_at_once_are_kept_apart(start, pacs, tmp_path):
    node, first, second = start(pacs.port, work=segmented), study(1), study(2, slices=4)
    one, other = associated(node.port, *first), associated(node.port, *second)
    for image in first[:4]:
        assert one.send_c_store(with_meta(image)).Status == 0
    for image in second:
        assert other.send_c_store(with_meta(image)).Status == 0
    for image in first[4:]:
        assert one.send_c_store(with_meta(image)).Status == 0
    one.release()
    other.release()
    found = pacs.take(6)
    for images in (first, second):
        own = [each for each in found if each.StudyInstanceUID == images[0].StudyInstanceUID]
        require_results_of(own, images, tmp_path)


def test_a_study_in_two_associations_is_one(start, pacs, tmp_path):
    node, images = start(pacs.port), study()
    one, other = associated(node.port, *images), associated(node.port, *images)
    for image in images[:3]:
        assert one.send_c_store(with_meta(image)).Status == 0
    for image in images[3:]:
        assert other.send_c_store(with_meta(image)).Status == 0
    one.release()
    other.release()
    require_three_of(pacs.take(3), images)


def test_a_half_sent_study_is_refused_and_not_taken_for_complete(start, pacs, log):
    node, images = start(pacs.port, patience_s=0.2), study()
    association = associated(node.port, *images)
    for image in images[:4]:
        assert association.send_c_store(with_meta(image)).Status == 0
    association.abort()
    assert "the transfer broke off after 4 images. Send the study again." in log.wait_for("half_sent")
    assert [line["reason"]["code"] for line in ledger(node)] == ["half_sent"]
    assert node.left() == []
    assert not pacs.has_more


def test_the_rest_of_a_half_sent_study_makes_it_whole(start, pacs, tmp_path):
    node, images = start(pacs.port), study()
    association = associated(node.port, *images)
    for image in images[:4]:
        assert association.send_c_store(with_meta(image)).Status == 0
    association.abort()
    store(node.port, images[3:])
    require_three_of(pacs.take(3), images)


def test_a_study_without_ct_is_recorded_once_and_nothing_is_sent(start, pacs, log):
    node = start(pacs.port)
    store(node.port, without_ct())
    line = log.wait_for("refused")
    assert "No series is an axial CT." in line
    store(node.port, study())
    pacs.take(3)
    log.wait_for("the results were sent to")
    assert [(line["state"], (line["reason"] or {}).get("code")) for line in ledger(node)] == [
        ("refused", "no_ct_series"),
        ("done", None),
    ]
    assert node.left() == []


def test_a_study_that_cannot_be_read_is_recorded_with_its_sentence(start, pacs, log):
    node, images = start(pacs.port), study()
    store(node.port, images[:2] + images[3:])
    log.wait_for("refused")
    (line,) = ledger(node)
    assert line["state"] == "refused"
    assert line["reason"]["sentence"].startswith(line["case"])
    assert len(line["reason"]["sentence"]) <= 200


@pytest.mark.parametrize("choice", [{"calling": "STRANGER"}, {"called": "SOMEBODY"}])
def test_who_is_not_allowed_or_calls_somebody_else_is_refused(start, pacs, log, choice):
    node = start(pacs.port, allowed=("SCANNER",))
    association = associated(node.port, *study(), **choice)
    assert association.is_rejected
    assert "was refused" in log.wait_for(choice.get("calling", "SCANNER"))
    store(node.port, study())
    assert len(pacs.take(3)) == 3


def test_while_the_pacs_is_down_results_wait_and_arrive_once(start, log, tmp_path):
    with Pacs() as gone:
        port = gone.port
    node, images = start(port), study()
    store(node.port, images)
    for _ in range(2):
        assert "not sent to PACS@127.0.0.1" in log.wait_for("it cannot be reached; trying again in")
    with Pacs(port) as back:
        require_three_of(back.take(3), images)
        log.wait_for("the results were sent to")
        assert not back.has_more
    assert [line["state"] for line in ledger(node)] == ["done"]


def test_a_pacs_that_knows_another_title_is_told_of_and_tried_again(start, log):
    with Pacs(ae_title="OTHER") as other:
        node = start(other.port)
        store(node.port, study())
        log.wait_for("it does not know the AE title that it is called by; trying again in")
        assert len([name for name in node.left() if name.endswith(".dcm")]) == 3
    with Pacs(other.port) as right:
        assert len(right.take(3)) == 3


def test_a_pacs_that_is_full_gets_only_what_it_has_not_taken(start, log):
    with Pacs(statuses={RTSTRUCT: 0xA700}) as full:
        node = start(full.port)
        store(node.port, study())
        log.wait_for("it is out of resources, status A700")
        full.statuses.clear()
        log.wait_for("the results were sent to")
        assert sorted(each.SOPClassUID for each in full.take(3)) == sorted((SEG, RTSTRUCT, SR))
        assert not full.has_more
    assert node.left() == []


def test_what_the_pacs_will_never_take_is_put_aside_and_recorded(start, log):
    with Pacs(statuses={SR: 0xC000}) as picky:
        node = start(picky.port)
        store(node.port, study())
        line = log.wait_for("undelivered")
        assert "PACS refused measurements.dcm (status C000)" in line
        assert {each.SOPClassUID for each in picky.take(2)} == {SEG, RTSTRUCT}
        (reported,) = ledger(node)
        assert (reported["state"], reported["reason"]["code"]) == ("failed", "undelivered")
        assert [name for name in node.left() if name.endswith(".dcm")] == [
            f"undelivered/{reported['case']}/measurements.dcm"
        ]


def test_the_same_images_are_segmented_once_and_results_that_come_back_not_at_all(start, pacs, log):
    node, images = start(pacs.port), study()
    store(node.port, images)
    results = pacs.take(3)
    log.wait_for("the results were sent to")
    store(node.port, images)
    log.wait_for("segmented before; skipped")
    store(node.port, results)
    store(node.port, without_ct())  # what comes next shows that the results were no study
    log.wait_for("refused")
    assert [line["state"] for line in ledger(node)] == ["done", "refused"]
    assert not pacs.has_more


def test_with_repeat_they_are_segmented_again(start, pacs, log):
    node, images = start(pacs.port, repeat=True), study()
    for _ in range(2):
        store(node.port, images)
        assert len(pacs.take(3)) == 3
        log.wait_for("the results were sent to")


def test_a_study_that_kills_its_process_is_given_up(start, pacs, log, tmp_path):
    case = tmp_path / "queue" / "to_segment" / "abc-1"
    case.mkdir(parents=True)
    (case / "image.dcm").touch()
    (case.parent / "abc-1.begun").write_bytes(b"+" * MOST_ATTEMPTS)
    node = start(pacs.port)
    log.wait_for("process_died")
    assert [(line["case"], line["state"]) for line in ledger(node)] == [("abc-1", "failed")]
    assert node.left() == []


def test_after_a_kill_while_sent_results_were_removed_the_ledger_keeps_its_line(start, pacs, log, tmp_path):
    line = {"case": "abc-1", "state": "done", "input": "stamp", "finished": "2024-01-31T10:00:00+00:00"}
    (tmp_path / "queue" / "to_send" / "abc-1").mkdir(parents=True)
    (tmp_path / "queue" / "ledger.jsonl").write_text(json.dumps(line) + "\n")
    node = start(pacs.port)
    log.wait_for("the results were sent to")
    assert [each["input"] for each in ledger(node)] == ["stamp"]
    assert list((node.folder / "to_send").iterdir()) == []


def test_a_full_disk_is_told_to_the_sender_and_its_study_is_not_taken_for_whole(start, pacs, log, monkeypatch):
    node, images = start(pacs.port, patience_s=0.2), study()

    def full(*_, **__):
        raise OutputError("queue: cannot be written, the disk is full.")

    association = associated(node.port, *images)
    assert association.send_c_store(with_meta(images[0])).Status == 0
    with monkeypatch.context() as patch:
        patch.setattr("pancascade.services.pacs.incoming.written_whole", full)
        assert association.send_c_store(with_meta(images[1])).Status == 0xA700
    for image in images[2:]:
        assert association.send_c_store(with_meta(image)).Status == 0
    association.release()
    log.wait_for("half_sent")
    assert not pacs.has_more


def test_a_study_waits_while_the_disk_is_full(start, pacs, log, tmp_path):
    full = [True]

    def work(job):
        if full[0]:
            raise OutputError("to_send: cannot be written, the disk is full.")
        return quick(job)

    node, images = start(pacs.port, work=work), study()
    store(node.port, images)
    for _ in range(MOST_ATTEMPTS + 1):
        log.wait_for("The queue waits: to_send: cannot be written, the disk is full.")
    full[0] = False
    require_three_of(pacs.take(3), images)


def test_an_object_that_is_none_is_refused(start, pacs, log):
    node, image = start(pacs.port), with_meta(study()[0])
    association = associated(node.port, image)
    image.StudyInstanceUID = ""
    assert association.send_c_store(image).Status == 0xC000
    association.release()
    assert "without study or instance" in log.wait_for("refused")
    assert node.left() == []


def test_a_port_in_use_is_one_sentence(start, pacs):
    with pytest.raises(PacsError, match=r"cannot listen there \(address already in use\). Choose another --port"):
        start(pacs.port, port=pacs.port)


def test_two_nodes_share_no_folder(start, pacs):
    start(pacs.port)
    with pytest.raises(OutputError, match="pancascade dicom-node"):
        start(pacs.port)


def test_a_connection_that_says_nothing_of_use_harms_nobody(start, pacs, tmp_path):
    node, images = start(pacs.port), study()
    with socket.create_connection(("127.0.0.1", node.port)) as stranger:
        stranger.sendall(b"GET / HTTP/1.1\r\n\r\n")
    store(node.port, images)
    require_three_of(pacs.take(3), images)


def test_a_stop_between_two_steps_is_not_forgotten(pacs, tmp_path, monkeypatch):
    monkeypatch.setattr("pancascade.services.pacs.node._LONGEST_WAIT_S", 1e6)
    settings = NodeSettings(port=0, send_to=Peer(ae_title="PACS", host="127.0.0.1", port=pacs.port))
    node = DicomNode(settings, tmp_path / "queue", work=quick)

    class StoppedBefore(Event):
        def clear(self):
            node.stop()
            super().clear()

    monkeypatch.setattr(node, "_wake", StoppedBefore())
    running = Thread(target=node.run, daemon=True)
    running.start()
    running.join(300)
    assert not running.is_alive()
