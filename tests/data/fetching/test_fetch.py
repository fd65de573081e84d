import hashlib
import io
import json
import os
import re
import sys
import zipfile
from pathlib import Path
from urllib.parse import parse_qs

# The server is written once, and used by the tests of the command, too.
sys.path.insert(0, str(Path(__file__).parent))

import pytest
from web import Web, packed_tar, packed_zip, start, stop

from pancascade.data.fetching import download as downloading
from pancascade.data.fetching import fetch as fetching
from pancascade.data.fetching.download import download, remote_size
from pancascade.data.fetching.fetch import RECEIPT, fetch, missing_of
from pancascade.data.fetching.sources import Source, find_source, known_sources
from pancascade.errors import DataError, FetchError, OutputError
from ports import silent_port

CONTENT = os.urandom(50_000)
MD5 = "md5:" + hashlib.md5(CONTENT, usedforsecurity=False).hexdigest()


@pytest.fixture
def web(monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setattr(downloading, "BLOCK", 4096)
    site = Web(files={"/a.bin": CONTENT})
    server = start(site)
    yield site
    stop(server)


def get(web, path, **options):
    download(f"{web.url}/a.bin", path, wait_s=0, **options)


def source(web, **changes):
    settings = {
        "name": "set",
        "title": "A set",
        "what": "CT",
        "patients": "2",
        "size": "small",
        "licence": "CC BY 4.0",
        "licence_url": "https://creativecommons.org/licenses/by/4.0/",
        "attribution": "Somebody 2024",
        "page": web.url,
        "by_hand": "Take it.",
        "folder": "set",
    }
    return Source.model_validate(settings | changes)


@pytest.mark.parametrize("kind", ["md5", "sha256"])
def test_a_file_comes_whole_with_its_checksum_and_tells_its_progress(web, tmp_path, kind):
    seen = []
    digest = hashlib.new(kind, CONTENT, usedforsecurity=False).hexdigest()
    get(web, tmp_path / "new" / "a.bin", checksum=f"{kind}:{digest}", progress=lambda *step: seen.append(step))
    assert (tmp_path / "new" / "a.bin").read_bytes() == CONTENT
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["a.bin"]
    assert ("download", 50_000, 50_000) in seen
    assert ("checksum", 50_000, 50_000) in seen
    assert len(seen) > 10


def test_a_broken_connection_is_taken_up_where_it_broke(web, tmp_path):
    web.breaks, web.breaks_after = 2, 20_000
    get(web, tmp_path / "a.bin", checksum=MD5)
    assert (tmp_path / "a.bin").read_bytes() == CONTENT
    assert [asked for _, asked in web.asked] == [None, "bytes=20000-", "bytes=40000-"]


def test_an_interrupted_download_goes_on_in_the_next_run(web, tmp_path):
    def interrupt(what, done, total):
        if done > 30_000:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        get(web, tmp_path / "a.bin", checksum=MD5, progress=interrupt)
    assert not (tmp_path / "a.bin").exists()
    had = (tmp_path / "a.bin.part").stat().st_size
    assert 0 < had < 50_000
    get(web, tmp_path / "a.bin", checksum=MD5)
    assert (tmp_path / "a.bin").read_bytes() == CONTENT
    assert web.asked[-1] == ("/a.bin", f"bytes={had}-")


def test_without_a_checksum_an_old_part_is_not_trusted(web, tmp_path):
    (tmp_path / "a.bin.part").write_bytes(b"x" * 10_000)
    get(web, tmp_path / "a.bin")
    assert (tmp_path / "a.bin").read_bytes() == CONTENT
    assert web.asked == [("/a.bin", None)]


def test_a_server_without_ranges_sends_all_again(web, tmp_path):
    web.ranges = False
    (tmp_path / "a.bin.part").write_bytes(CONTENT[:10_000])
    get(web, tmp_path / "a.bin", checksum=MD5)
    assert (tmp_path / "a.bin").read_bytes() == CONTENT
    assert web.asked == [("/a.bin", "bytes=10000-")]


@pytest.mark.parametrize("part", [CONTENT, CONTENT + b"too long"])
def test_a_part_that_is_whole_or_too_long_is_settled(web, tmp_path, part):
    (tmp_path / "a.bin.part").write_bytes(part)
    get(web, tmp_path / "a.bin", checksum=MD5)
    assert (tmp_path / "a.bin").read_bytes() == CONTENT


def test_a_wrong_checksum_is_one_sentence_and_leaves_nothing(web, tmp_path):
    with pytest.raises(FetchError, match=rf"a\.bin: its md5 checksum is {MD5[4:]}, published is 0{{32}}\."):
        get(web, tmp_path / "a.bin", checksum="md5:" + "0" * 32)
    assert list(tmp_path.iterdir()) == []


def test_a_connection_that_always_breaks_gives_up_and_keeps_what_came(web, tmp_path):
    web.breaks, web.breaks_after = 99, 0
    (tmp_path / "a.bin.part").write_bytes(CONTENT[:10_000])
    with pytest.raises(FetchError, match=r"broke repeatedly, after 10000 bytes\. .*continues where it stopped"):
        get(web, tmp_path / "a.bin", checksum=MD5)
    assert (tmp_path / "a.bin.part").read_bytes() == CONTENT[:10_000]
    assert not (tmp_path / "a.bin").exists()


def test_a_file_that_is_not_there_is_one_sentence(web, tmp_path):
    with pytest.raises(FetchError, match=r"b\.bin: the server says 404 Not Found\. Was the file moved"):
        download(f"{web.url}/b.bin", tmp_path / "b.bin")
    assert list(tmp_path.iterdir()) == []


def test_no_connection_is_one_sentence(tmp_path, monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with silent_port() as port, pytest.raises(FetchError, match=r"no connection \(.*refused\)\. Check the network"):
        download(f"http://127.0.0.1:{port}/a.bin", tmp_path / "a.bin")


def test_a_server_that_tells_no_size_is_believed(web, tmp_path):
    web.tells_size = False
    get(web, tmp_path / "a.bin", checksum=MD5)
    assert (tmp_path / "a.bin").read_bytes() == CONTENT


def test_a_disk_that_is_too_small_is_told_before_anything_comes(web, tmp_path, monkeypatch):
    usage = type("Usage", (), {"free": 60_000})
    monkeypatch.setattr("pancascade.data.fetching.download.shutil.disk_usage", lambda _: usage)
    get(web, tmp_path / "a.bin")
    with pytest.raises(OutputError, match=r"0\.0 GB are needed, 0\.0 GB are free"):
        get(web, tmp_path / "b.bin", room_factor=2.0)
    assert [path.name for path in tmp_path.iterdir()] == ["a.bin"]


def test_a_folder_that_cannot_be_made_is_one_sentence(web, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot be written"):
        get(web, tmp_path / "file" / "a.bin")


def test_a_file_s_size_is_asked_without_taking_it(web):
    assert remote_size(f"{web.url}/a.bin") == 50_000
    assert web.asked == []


@pytest.mark.parametrize(("name", "pack"), [("set.zip", packed_zip), ("set.tar", packed_tar)])
def test_an_archive_is_unpacked_signed_and_removed_and_not_fetched_twice(web, tmp_path, name, pack):
    packed = pack({"Task/a.nii.gz": b"a", "Task/._a.nii.gz": b"mac", "Task/b.nii.gz": b"b"})
    web.files[f"/{name}"] = packed
    checksum = "md5:" + hashlib.md5(packed, usedforsecurity=False).hexdigest()
    expected = [{"pattern": "Task/*.nii.gz", "number": 2, "what": "scans"}]
    wanted = source(web, files=[{"url": f"{web.url}/{name}", "checksum": checksum}], expected=expected)
    folder = fetch(wanted, tmp_path)
    assert {path.name for path in folder.rglob("*") if path.is_file()} == {
        "._a.nii.gz",
        "a.nii.gz",
        "b.nii.gz",
        RECEIPT,
    }
    assert missing_of(wanted, folder) == []
    receipt = json.loads((folder / RECEIPT).read_text())["set"]
    assert receipt["licence"] == "CC BY 4.0"
    assert receipt["attribution"] == "Somebody 2024"
    assert receipt["files"] == {name: {"url": f"{web.url}/{name}", "checksum": checksum}}
    fetch(wanted, tmp_path)
    assert len(web.asked) == 1
    (folder / "Task" / "b.nii.gz").unlink()
    assert missing_of(wanted, folder) == [f"scans: 1 found, 2 known ({folder / 'Task' / '*.nii.gz'})."]


def test_two_archives_share_a_folder_and_an_interrupted_set_goes_on_with_the_second(web, tmp_path):
    web.files |= {"/1.zip": packed_zip({"batch/a": b"a"})}
    wanted = source(web, files=[{"url": f"{web.url}/{n}.zip"} for n in (1, 2)])
    with pytest.raises(FetchError, match=r"2\.zip: the server says 404"):
        fetch(wanted, tmp_path)
    web.files["/2.zip"] = packed_zip({"batch/b": b"b"})
    folder = fetch(wanted, tmp_path)
    assert [path.name for path in sorted((folder / "batch").iterdir())] == ["a", "b"]
    assert [path for path, _ in web.asked] == ["/1.zip", "/2.zip", "/2.zip"]


def test_a_damaged_archive_is_removed_and_told(web, tmp_path):
    web.files["/1.zip"] = packed_zip({"a": CONTENT})[:-500]
    with pytest.raises(FetchError, match=r"1\.zip: is damaged .*, and was removed"):
        fetch(source(web, files=[{"url": f"{web.url}/1.zip"}]), tmp_path)
    assert not (tmp_path / "set").exists()


def test_an_archive_with_names_that_are_no_text_is_removed_and_told(web, tmp_path):
    """The name before a file's content is read only when the file is unpacked."""
    content = packed_zip({"ä": CONTENT})
    place = content.index("ä".encode())
    web.files["/1.zip"] = content[:place] + b"\xb3\xb3" + content[place + 2 :]
    with pytest.raises(FetchError, match=r"1\.zip: is damaged .*, and was removed"):
        fetch(source(web, files=[{"url": f"{web.url}/1.zip"}]), tmp_path)


def test_an_archive_never_writes_outside_its_folder(web, tmp_path):
    web.files |= {"/1.tar": packed_tar({"../../evil": b"x"}), "/2.zip": packed_zip({"../../evil": b"x"})}
    with pytest.raises(FetchError, match="is damaged"):
        fetch(source(web, files=[{"url": f"{web.url}/1.tar"}]), tmp_path / "out")
    fetch(source(web, files=[{"url": f"{web.url}/2.zip"}]), tmp_path / "out")
    assert not list(tmp_path.glob("evil")) + list((tmp_path / "out").glob("evil"))


def test_what_is_got_by_hand_says_how(web, tmp_path):
    with pytest.raises(FetchError, match=r"set: can only be downloaded by hand\. Take it\."):
        fetch(source(web), tmp_path)


@pytest.fixture
def archive(web):
    """Two patients' CT and one's segmentation, as the archive's service gives them."""
    series = {"1.2.3": ("PANCREAS_0001", "CT"), "1.2.4": ("PANCREAS_0002", "CT"), "1.2.5": ("PANCREAS_0002", "SEG")}
    images = {uid: {f"1-{n}.dcm": f"{uid}-{n}".encode() for n in range(3)} for uid in series}

    def listed(_):
        rows = [
            {"SeriesInstanceUID": uid, "PatientID": patient, "Modality": kind, "ImageCount": 3}
            for uid, (patient, kind) in series.items()
        ]
        return json.dumps(rows).encode()

    def packed(query):
        files = images[parse_qs(query)["SeriesInstanceUID"][0]]
        lines = ["file,md5"] + [f"{name},{hashlib.md5(content).hexdigest()}" for name, content in files.items()]
        return packed_zip({**files, "LICENSE": b"CC BY", "md5hashes.csv": "\n".join(lines).encode()})

    web.answers |= {"/nbia/getSeries": listed, "/nbia/getImageWithMD5Hash": packed}
    web.tells_size = False
    return source(web, collection={"name": "Pancreas-CT", "api": f"{web.url}/nbia"})


def test_a_collection_comes_series_by_series_in_the_archive_s_layout(web, archive, tmp_path):
    folder = fetch(archive, tmp_path)
    found = {str(path.relative_to(folder / "Pancreas-CT")) for path in folder.rglob("*.dcm")}
    uids = {"PANCREAS_0001": "1.2.3", "PANCREAS_0002": "1.2.4"}
    assert found == {f"{patient}/{uid}/1-{n}.dcm" for patient, uid in uids.items() for n in range(3)}
    assert not list(folder.rglob("md5hashes.csv"))
    assert not list(folder.rglob(".incoming*"))


def test_damaged_checksums_are_one_sentence(web, archive, tmp_path):
    packed = packed_zip({"1-0.dcm": b"one", "md5hashes.csv": b"1-0.dcm," + b"x" * 200_000})
    web.answers["/nbia/getImageWithMD5Hash"] = lambda _: packed
    with pytest.raises(FetchError, match=r"md5hashes\.csv: the archive sent damaged checksums\. Run again\.$"):
        fetch(archive, tmp_path)
    assert not (tmp_path / "set").exists()


def test_series_that_are_here_are_not_fetched_again(web, archive, tmp_path):
    fetch(archive, tmp_path)
    (tmp_path / "set" / "Pancreas-CT" / "PANCREAS_0002" / "1.2.4").rename(tmp_path / "away")
    web.asked.clear()
    fetch(archive, tmp_path)
    assert [re.sub(r".*UID=", "", path) for path, _ in web.asked][1:] == ["1.2.4"]


def test_a_series_with_a_wrong_checksum_or_count_fails_alone(web, archive, tmp_path):
    whole = web.answers["/nbia/getImageWithMD5Hash"]
    for spoiled, message in ((b"1.2.3-1", "MD5 is not the archive's"), (None, "1 images came, the archive counts 3")):

        def answer(query, spoiled=spoiled):
            if "1.2.4" in query:
                return whole(query)
            content = whole(query).replace(spoiled, b"1.2.3-X") if spoiled else packed_zip({"1-0.dcm": b"one"})
            return recrc(content)

        web.answers["/nbia/getImageWithMD5Hash"] = answer
        with pytest.raises(FetchError, match=rf"1 of 2 series failed\. Run the same command again.*{message}"):
            fetch(archive, tmp_path)
        assert (tmp_path / "set" / "Pancreas-CT" / "PANCREAS_0002" / "1.2.4").is_dir()
        assert not list((tmp_path / "set" / "Pancreas-CT" / "PANCREAS_0001").rglob("*"))


def recrc(content):
    """The archive with right checks of its own, whatever was changed in its files."""
    names = zipfile.ZipFile(io.BytesIO(content)).infolist()
    found = {}
    for entry in names:
        start_of_data = entry.header_offset + 30 + len(entry.filename)
        found[entry.filename] = content[start_of_data : start_of_data + entry.file_size]
    return packed_zip(found)


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (b"<html>busy</html>", "no list of series"),
        (b"", "lists no CT"),
        (b"[]", "lists no CT"),
        (b'[{"Modality": "CT"}]', "no list of series"),
        (
            b'[{"Modality": "CT", "PatientID": "../up", "SeriesInstanceUID": "1"}]',
            r"lists a strange name \(PatientID of series 1\)\. Download by hand",
        ),
        (
            b'[{"Modality": "CT", "PatientID": "a", "SeriesInstanceUID": "1"},'
            b' {"Modality": "CT", "PatientID": "b", "SeriesInstanceUID": "../2"}]',
            r"lists a strange name \(SeriesInstanceUID of series 2\)\. Download by hand",
        ),
    ],
)
def test_an_archive_that_answers_nonsense_is_one_sentence(web, archive, tmp_path, answer, message):
    web.answers["/nbia/getSeries"] = lambda _: answer
    with pytest.raises(FetchError, match=message):
        fetch(archive, tmp_path)


def test_an_archive_that_fails_every_time_is_left_alone(web, archive, tmp_path, monkeypatch):
    rows = [{"SeriesInstanceUID": f"9.{n}", "PatientID": f"P{n}", "Modality": "CT"} for n in range(9)]
    web.answers["/nbia/getSeries"] = lambda _: json.dumps(rows).encode()
    web.answers["/nbia/getImageWithMD5Hash"] = lambda _: b"no archive"
    with pytest.raises(FetchError, match="3 of 9 series failed"):
        fetch(archive, tmp_path)


def test_the_known_sources_name_licence_citation_and_a_way_and_their_checksums_have_an_author():
    sources = known_sources()
    assert {"msd-pancreas", "nih-pancreas-ct", "panorama", "panorama-labels"} <= {one.name for one in sources}
    assert len({one.name for one in sources}) == len(sources)
    for one in sources:
        assert one.licence.startswith("CC BY")
        assert "doi" in one.attribution
        assert one.by_hand
        assert all(bool(file.checksum) == bool(file.checksum_of) for file in one.files)
        assert all(file.url.startswith("https://") for file in one.files)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("- {name: a}", "title: is missing"),
        ("just text", "no mapping of settings"),
        ("a: [", "not a readable table"),
    ],
)
def test_a_damaged_table_is_refused(tmp_path, text, message):
    (tmp_path / "t.yaml").write_text(text)
    with pytest.raises(DataError, match=message):
        known_sources(tmp_path / "t.yaml")


@pytest.mark.parametrize(
    "change",
    [
        {"files": [{"url": "file:///etc/passwd"}]},
        {"files": [{"url": "http://a/b", "checksum": "md5:12"}]},
        {"folder": "../up"},
        {"files": [{"url": "http://a/b", "unpack_to": "/up"}]},
    ],
)
def test_a_table_cannot_point_outside(web, change):
    with pytest.raises(ValueError, match="validation error"):
        source(web, **change)


def test_an_unknown_set_names_the_known_ones():
    with pytest.raises(DataError, match="nix: no data set of that name is known; known are msd-pancreas"):
        find_source("nix")


@pytest.mark.parametrize("text", ["[]", "{", '{"set": []}', '{"set": {"files": 3}}', '{"set": {}}', "5"])
def test_a_receipt_that_was_edited_by_hand_is_none(tmp_path, text):
    (tmp_path / RECEIPT).write_text(text)
    assert fetching._receipt(tmp_path) == {}
