import hashlib
import json
import sys
from pathlib import Path

# The server is written once, beside the tests of curation.
sys.path.insert(0, str(Path(__file__).parents[1] / "data"))

import pytest
import yaml
from web import Web, packed_tar, start, stop

from pancascade.data.fetching.sources import known_sources

ARCHIVE = packed_tar(
    {
        "Task07/dataset.json": json.dumps({"training": [], "labels": {"1": "pancreas"}}).encode(),
        "Task07/imagesTr/a.nii.gz": b"a",
    }
)


@pytest.fixture
def site(monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setenv("COLUMNS", "250")
    web = Web(files={"/Task07.tar": ARCHIVE})
    server = start(web)
    yield web
    stop(server)


@pytest.fixture
def table(site, tmp_path):
    """A table whose one set lies on this machine."""
    checksum = "md5:" + hashlib.md5(ARCHIVE, usedforsecurity=False).hexdigest()
    changes = {
        "files": [{"url": f"{site.url}/Task07.tar", "checksum": checksum, "checksum_of": "us"}],
        "data_set": "Task07",
        "expected": [{"pattern": "Task07/imagesTr/*.nii.gz", "number": 1, "what": "scans"}],
    }
    row = known_sources()[0].model_dump(mode="json") | changes
    path = tmp_path / "mirror.yaml"

    def write(**more):
        path.write_text(yaml.safe_dump([row | more]))
        return path

    write()
    return write


def test_without_a_name_every_set_is_listed_with_its_licence(pancascade, monkeypatch):
    monkeypatch.setenv("COLUMNS", "250")
    code, out, err = pancascade("data", "fetch")
    assert (code, err) == (0, "")
    for source in known_sources():
        assert source.name in out
        assert source.title in out
        assert source.licence in out


@pytest.mark.parametrize("name", [source.name for source in known_sources()])
def test_a_name_tells_where_how_and_on_which_terms_and_downloads_nothing(pancascade, name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, out, err = pancascade("data", "fetch", name)
    assert (code, err) == (0, "")
    source = next(source for source in known_sources() if source.name == name)
    for text in (source.licence_url, source.attribution, source.page, source.by_hand):
        assert text in out
    for file in source.files:
        assert file.url in out
        assert (file.checksum or "no checksum is published") in out
    assert list(tmp_path.iterdir()) == []


def test_a_licence_must_be_accepted_before_anything_comes(pancascade, site, table, tmp_path):
    code, out, err = pancascade("data", "fetch", "msd-pancreas", "--table", table(), "--out", tmp_path / "data")
    assert code == 2
    assert "CC BY-SA 4.0" in out
    assert "must be accepted. Read it, and pass --accept-licence." in err
    assert site.asked == []
    assert not (tmp_path / "data").exists()


def test_a_set_is_downloaded_counted_and_recognised(pancascade, table, tmp_path):
    arguments = ("data", "fetch", "msd-pancreas", "--table", table(), "--out", tmp_path / "data", "--accept-licence")
    code, out, err = pancascade(*arguments)
    assert (code, err) == (0, "")
    folder = tmp_path / "data" / "msd-pancreas"
    assert f"Layout: msd. Next: pancascade data check {folder / 'Task07'}" in out
    assert (folder / "Task07" / "imagesTr" / "a.nii.gz").read_bytes() == b"a"
    assert "Antonelli" in (folder / "fetched.json").read_text()
    assert pancascade(*arguments)[0] == 0


def test_other_counts_than_the_known_are_told_and_end_with_code_1(pancascade, table, tmp_path):
    path = table(expected=[{"pattern": "Task07/imagesTr/*.nii.gz", "number": 281, "what": "labelled scans"}])
    code, out, _ = pancascade(
        "data", "fetch", "msd-pancreas", "--table", path, "--out", tmp_path / "data", "--accept-licence"
    )
    assert code == 1
    assert "Differs: labelled scans: 1 found, 281 known" in out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("nix",), "nix: no data set of that name"),
        (("--out", "somewhere"), "--out needs the name"),
        (("msd-pancreas", "--table", "nowhere.yaml"), "nowhere.yaml: not a readable table"),
    ],
)
def test_what_cannot_be_is_one_sentence(pancascade, arguments, message):
    code, _, err = pancascade("data", "fetch", *arguments)
    assert code == 2
    assert message in err
    assert err.count("\n") == 1


def test_a_server_that_fails_is_one_sentence(pancascade, site, table, tmp_path):
    path = table()
    site.files.clear()
    code, _, err = pancascade(
        "data", "fetch", "msd-pancreas", "--table", path, "--out", tmp_path / "data", "--accept-licence"
    )
    assert code == 2
    assert "the server says 404" in err
    assert err.count("\n") == 1
