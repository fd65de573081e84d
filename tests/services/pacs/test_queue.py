"""What lies on the disk tells a new process all that the killed one knew."""

from pancascade.segmentation.batch.ledger import LedgerEntry
from pancascade.services.pacs.incoming import Incoming
from pancascade.services.pacs.queue import StudyQueue, objects_in

NOW = [0.0]


def incoming(folder):
    NOW[0] = 0.0
    return Incoming(folder / "receiving", clock=lambda: NOW[0])


def due(place, *, at_s, quiet_s=10, patience_s=100):
    NOW[0] = at_s
    return place.due(quiet_s=quiet_s, patience_s=patience_s)


def test_a_study_is_due_when_it_was_released_and_quiet(tmp_path):
    place = incoming(tmp_path)
    place.store("a", "1", b"image", association="x")
    assert due(place, at_s=1000) == []
    place.released("x")
    assert place.next_due_s(quiet_s=10, patience_s=100) == 10
    assert due(place, at_s=1009) == []
    assert due(place, at_s=1010) == [("a", True)]


def test_each_image_begins_the_quiet_time_anew(tmp_path):
    place = incoming(tmp_path)
    for at_s in (0, 8):
        NOW[0] = at_s
        place.store("a", str(at_s), b"image", association=f"x{at_s}")
        place.released(f"x{at_s}")
    assert due(place, at_s=17) == []
    assert due(place, at_s=18) == [("a", True)]


def test_an_aborted_association_leaves_a_study_that_is_not_whole(tmp_path):
    place = incoming(tmp_path)
    place.store("a", "1", b"image", association="x")
    place.ended("x")
    assert due(place, at_s=99) == []
    assert due(place, at_s=100) == [("a", False)]


def test_an_association_beside_it_does_not_make_a_broken_one_whole_and_a_later_one_does(tmp_path):
    place = incoming(tmp_path)
    place.store("a", "1", b"image", association="broken")
    place.store("a", "2", b"image", association="beside")
    place.ended("broken")
    place.released("beside")
    assert due(place, at_s=50) == []
    place.store("a", "1", b"image", association="later")
    place.released("later")
    assert due(place, at_s=60) == [("a", True)]


def test_the_release_counts_also_when_the_connection_is_told_to_be_closed_before(tmp_path):
    place = incoming(tmp_path)
    place.store("a", "1", b"image", association="x")
    place.ended("x")
    place.released("x")
    assert due(place, at_s=10) == [("a", True)]


def test_so_does_the_release_of_one_that_sent_the_study_again(tmp_path):
    place = incoming(tmp_path)
    place.store("a", "1", b"image", association="broken")
    place.ended("broken")
    place.store("a", "1", b"image", association="again")
    place.ended("again")
    place.released("again")
    assert due(place, at_s=10) == [("a", True)]


def test_a_killed_node_s_open_studies_are_not_whole_and_the_others_are(tmp_path):
    killed = incoming(tmp_path)
    killed.store("open", "1", b"image", association="x")
    killed.store("ready", "1", b"image", association="y")
    killed.released("y")
    place = incoming(tmp_path)
    assert due(place, at_s=10) == [("ready", True)]
    assert sorted(due(place, at_s=100)) == [("open", False), ("ready", True)]


def test_an_image_that_a_killed_node_was_writing_is_no_image(tmp_path):
    killed = incoming(tmp_path)
    killed.store("a", "1", b"image", association="x")
    killed.released("x")
    (tmp_path / "receiving" / "a" / ".12ab34cd.2.dcm").write_bytes(b"ima")
    taken = incoming(tmp_path).take("a", tmp_path)
    assert [path.name for path in taken.iterdir()] == ["1.dcm"]


def test_a_study_that_is_taken_makes_room_for_more_of_it(tmp_path):
    place = incoming(tmp_path)
    (tmp_path / "taken").mkdir()
    for content in (b"first", b"second"):
        place.store("a", "1", content, association="x")
        place.released("x")
        taken = place.take("a", tmp_path / "taken")
        assert [(path.name, path.read_bytes()) for path in taken.iterdir()] == [("1.dcm", content)]
        assert place.next_due_s(quiet_s=1, patience_s=1) is None


def test_a_study_is_not_taken_while_more_of_it_comes(tmp_path):
    place = incoming(tmp_path)
    place.store("a", "1", b"image", association="x")
    place.released("x")
    place.store("a", "2", b"image", association="y")
    assert place.take("a", tmp_path) is None


def entry(case, stamp="s"):
    return LedgerEntry(case=case, state="done", input=stamp)


def with_study(queue, case):
    (queue.to_segment / case).mkdir()
    (queue.to_segment / case / "1.dcm").write_bytes(b"image")
    (queue.work / case).mkdir()
    for name in ("segmentation", "measurements", "rtstruct"):
        (queue.work / case / f"{name}.dcm").write_bytes(b"result")


def test_work_that_was_not_finished_is_done_again(tmp_path):
    with_study(StudyQueue(tmp_path, made_by="m"), "a")
    again = StudyQueue(tmp_path, made_by="m")
    assert [each.name for each in again.waiting()] == ["a"]
    assert list(again.work.iterdir()) == []
    assert again.results() == []


def test_a_result_whose_images_a_kill_left_is_not_made_again(tmp_path):
    queue = StudyQueue(tmp_path, made_by="m")
    with_study(queue, "a")
    queue.finish(entry("a"))
    (queue.to_segment / "a").mkdir()
    again = StudyQueue(tmp_path, made_by="m")
    assert again.waiting() == []
    (result,) = again.results()
    assert [path.stem for path in objects_in(result)] == ["segmentation", "rtstruct", "measurements"]
    assert again.entry_of(result) == entry("a").model_copy(update={"finished": again.entry_of(result).finished})


def test_a_foreign_folder_among_the_results_takes_no_study_away(tmp_path):
    queue = StudyQueue(tmp_path, made_by="m")
    with_study(queue, "a")
    (queue.to_send / "a" / "9.dcm").mkdir(parents=True)
    again = StudyQueue(tmp_path, made_by="m")
    assert [study.name for study in again.waiting()] == ["a"]
    assert objects_in(again.to_send / "a") == []


def test_attempts_are_counted_on_the_disk_and_an_interruption_is_none(tmp_path):
    for times in (1, 2):
        assert StudyQueue(tmp_path, made_by="m").begin("a") == times
    queue = StudyQueue(tmp_path, made_by="m")
    queue.interrupted("a")
    assert queue.begin("a") == 1


def test_the_stamp_tells_images_series_and_model(tmp_path):
    queue, other = StudyQueue(tmp_path, made_by="m"), StudyQueue(tmp_path, made_by="n")
    with_study(queue, "a")
    place = queue.to_segment / "a"
    stamps = [queue.scan_of(place).stamp, queue.scan_of(place, series="3").stamp]
    (place / "2.dcm").write_bytes(b"image")
    stamps += [queue.scan_of(place).stamp]
    (queue.to_segment / "b").mkdir()
    (queue.to_segment / "b" / "1.dcm").write_bytes(b"image")
    stamps += [other.scan_of(queue.to_segment / "b").stamp]
    assert len(set(stamps)) == 4
    assert queue.scan_of(queue.to_segment / "b").stamp == stamps[0]


def test_what_waits_to_be_sent_is_known_as_well_as_what_the_ledger_holds(tmp_path):
    queue = StudyQueue(tmp_path, made_by="m")
    with_study(queue, "a")
    queue.finish(entry("a", "sent soon"))
    refused = LedgerEntry(case="b", state="refused", input="refused")
    assert queue.is_known("sent soon", [])
    assert queue.is_known("s", [entry("c"), refused])
    assert not queue.is_known("refused", [refused])


def test_a_broken_off_study_is_no_whole_one_after_it_was_taken(tmp_path):
    place = incoming(tmp_path)
    for study, association in (("half", "x"), ("whole", "y")):
        place.store(study, "1", b"image", association=association)
    place.ended("x")
    place.released("y")
    assert not place.is_whole(place.take("half", tmp_path))
    assert place.is_whole(place.take("whole", tmp_path))


def test_foreign_folders_and_links_among_the_images_stop_nobody(tmp_path):
    (tmp_path / "receiving" / "a" / ".Trash").mkdir(parents=True)
    assert due(incoming(tmp_path), at_s=10) == [("a", True)]
    queue = StudyQueue(tmp_path, made_by="m")
    (queue.to_segment / "b" / "1.dcm").mkdir(parents=True)
    (queue.to_segment / "b" / "2.dcm").symlink_to("nowhere")
    (queue.to_segment / "b.begun").mkdir()
    assert queue.scan_of(queue.to_segment / "b").size_bytes == 0
    assert queue.begin("b") == 1


def test_a_link_in_the_queue_is_removed_and_what_it_leads_to_stays(tmp_path):
    queue = StudyQueue(tmp_path / "queue", made_by="m")
    (tmp_path / "elsewhere").mkdir()
    for folder in (queue.to_segment, queue.to_send):
        (folder / "a").symlink_to(tmp_path / "elsewhere")
    queue.forget("a")
    queue.delivered(queue.to_send / "a")
    assert (queue.waiting(), queue.results()) == ([], [])
    assert (tmp_path / "elsewhere").is_dir()


def test_what_cannot_be_removed_is_left_out_and_told_once(tmp_path, monkeypatch, caplog):
    queue = StudyQueue(tmp_path, made_by="m")
    with_study(queue, "a")
    monkeypatch.setattr("pancascade.services.pacs.queue.rmtree", lambda *_, **__: None)
    queue.forget("a")
    assert queue.waiting() == []
    assert [record.getMessage() for record in caplog.records] == [
        "a: cannot be removed from the queue, and is left out. Remove it by hand."
    ]


def test_results_take_the_place_of_a_foreign_folder_of_their_name(tmp_path):
    queue = StudyQueue(tmp_path, made_by="m")
    with_study(queue, "a")
    for folder in (queue.to_send, queue.undelivered):
        (folder / "a" / "foreign").mkdir(parents=True)
    queue.finish(entry("a"))
    (result,) = queue.results()
    assert len(objects_in(result)) == 3
    queue.give_up(result)
    assert len(objects_in(queue.undelivered / "a")) == 3


def test_a_line_of_another_case_is_not_taken_for_the_result_s_own(tmp_path):
    queue = StudyQueue(tmp_path, made_by="m")
    with_study(queue, "a")
    queue.finish(entry("a"))
    (queue.to_send / "a").replace(queue.to_send / "b")
    (result,) = queue.results()
    assert (queue.entry_of(result).case, queue.entry_of(result).input) == ("b", "")
