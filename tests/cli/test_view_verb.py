"""``pancascade view``: what it refuses, and the page in one file."""

import socket

import pytest

from pancascade.services.viewer import Pictures
from pancascade.services.viewer.serving import ViewerServer


@pytest.fixture
def result(pancascade, knows_the_phantom, scan, tmp_path):
    code, _, _ = pancascade("segment", scan, "--out", tmp_path / "result", "--save-probabilities")
    assert code == 0
    return tmp_path / "result"


def test_one_file_holds_the_page_the_scan_and_no_folder_s_name(pancascade, result, tmp_path):
    code, _, err = pancascade("view", result, "--out", tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert (code, err) == (0, "")
    assert '"files/ct.nii.gz"' in page
    assert str(tmp_path) not in page


def test_a_scan_that_is_gone_is_told_and_the_mask_shown_alone(pancascade, result, scan, tmp_path):
    scan.unlink()
    code, _, err = pancascade("view", result, "--out", tmp_path / "page.html")
    assert (code, "--scan" in err) == (0, True)
    assert '"ct": null' in (tmp_path / "page.html").read_text(encoding="utf-8")
    code, _, err = pancascade("view", result, "--scan", scan, "--out", tmp_path / "other.html")
    assert (code, err.count("\n")) == (2, 1)
    assert not (tmp_path / "other.html").exists()


def test_no_page_is_written_over_a_mask_or_a_scan(pancascade, result, scan, tmp_path):
    before = {path: path.read_bytes() for path in (scan, *result.iterdir())}
    mask = result / "segmentation.nii.gz"
    for arguments, says in (
        (("view", result, "--out", scan), "this file exists"),
        (("compare-dates", result, result, "--json", scan, "--out", tmp_path / "x"), "this file exists"),
        (("compare-dates", result, result, "--out", mask), "is a file of the result in this folder"),
        (("cohort", result, "--out", tmp_path / "x", "--csv", mask), "is a file of the result in this folder"),
    ):
        code, _, err = pancascade(*arguments)
        assert (code, err.count("\n")) == (2, 1)
        assert says in err
    assert {path: path.read_bytes() for path in (scan, *result.iterdir())} == before
    assert not (tmp_path / "x").exists()


def test_a_port_in_use_is_one_sentence(pancascade, result):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        code, _, err = pancascade("view", result, "--no-browser", "--port", port)
    assert (code, err.count("\n")) == (2, 1)
    assert f"--port {port}" in err


def test_the_page_is_served_until_it_is_ended(pancascade, result, monkeypatch):
    served = []

    def once(server):
        served.append((server.shown.pictures, server.shown.document["corrections"]))
        raise KeyboardInterrupt

    monkeypatch.setattr(ViewerServer, "serve_forever", once)
    code, out, err = pancascade("view", result, "--no-browser")
    assert (code, out.splitlines()[-2:], err) == (0, ["Ctrl-C ends it.", "Ended."], "")  # without a word of other verbs
    assert out.startswith("http://127.0.0.1:")
    ((pictures, corrections),) = served
    assert isinstance(pictures, Pictures)
    assert pictures.scan is not None
    assert corrections


def test_a_folder_without_result_is_refused(pancascade, tmp_path):
    code, _, err = pancascade("view", tmp_path, "--no-browser")
    assert (code, err.count("\n")) == (2, 1)


def test_a_mistyped_result_is_not_the_one_above_it(pancascade, result, tmp_path):
    for given in (result / "typo", tmp_path / "typo"):
        for verb in (("view", given, "--no-browser"), ("threshold", given, "--tumour", "0.3", "--out", tmp_path / "x")):
            code, _, err = pancascade(*verb)
            assert (code, err) == (2, "Error: typo: there is no such result. Give a folder with result.json.\n")
