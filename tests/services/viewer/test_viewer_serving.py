"""The page of one result on the loopback address."""

import json
from contextlib import contextmanager
from http.client import HTTPConnection
from threading import Thread

import pytest

from pancascade.errors import DataError
from pancascade.results.corrections import MOST_BYTES
from pancascade.services.viewer import CT, MASK, Pictures, viewer_document
from pancascade.services.viewer.serving import Shown, ViewerServer


@contextmanager
def served(shown):
    with ViewerServer(shown) as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


def ask(server, name, *, method="GET", body=None, headers=None, token=None):
    connection = HTTPConnection("127.0.0.1", server.server_address[1], timeout=600)
    connection.request(method, f"/{token or server.token}/{name}", body, headers or {})
    answer = connection.getresponse()
    content = answer.read()
    connection.close()
    return answer.status, dict(answer.headers), content


def shown(result, save=None):
    folder, scan = result
    return Shown(viewer_document(folder, corrections=save is not None), Pictures(folder, scan), save)


def test_the_page_its_files_and_pictures_are_served_under_a_policy(result):
    with served(shown(result)) as server:
        for name in ("", "page.html", "viewer.js", "viewer.css", "niivue.umd.js", "viewer.json", CT, MASK):
            status, headers, content = ask(server, name)
            assert (status, len(content)) == (200, int(headers["Content-Length"])), name
            assert "default-src 'none'" in headers["Content-Security-Policy"]
        assert json.loads(ask(server, "viewer.json")[2])["corrections"] is False


@pytest.mark.parametrize("name", ["../result.json", "result.json", "files/result.json", "%2e%2e/result.json"])
def test_nothing_else_is_served(result, name):
    with served(shown(result)) as server:
        status, _, content = ask(server, name)
    assert status == 404
    assert "detail" in json.loads(content)


def test_a_wrong_token_or_host_sees_nothing(result):
    with served(shown(result)) as server:
        assert ask(server, "viewer.json", token="guessed")[0] == 404
        assert ask(server, "viewer.json", headers={"Host": "evil.example"})[0] == 404
        assert ask(server, "viewer.json", headers={"Host": "localhost:1"})[0] == 200


def test_an_edited_mask_reaches_the_saving_with_its_author(result):
    taken = []

    def save(content, author):
        taken.append((content, author))
        return "001.nii.gz"

    with served(shown(result, save)) as server:
        status, _, answer = ask(server, "correction?author=Dr%20A", method="POST", body=b"mask")
    assert (status, json.loads(answer)) == (200, {"saved": "001.nii.gz"})
    assert taken == [(b"mask", "Dr A")]


def test_a_refused_mask_is_told_in_its_sentence(result):
    def save(content, author):
        raise DataError("The mask is of another scan.")

    with served(shown(result, save)) as server:
        status, _, answer = ask(server, "correction", method="POST", body=b"mask")
        assert (status, json.loads(answer)) == (422, {"detail": "The mask is of another scan."})
        assert ask(server, "correction", method="POST", headers={"Content-Length": str(MOST_BYTES + 1)})[0] == 413
        assert ask(server, "correction", method="POST", headers={"Content-Length": "-1"})[0] == 411
        assert ask(server, "correction", method="POST", headers={"Content-Length": "9" * 5000})[0] == 411
        assert ask(server, "other", method="POST", body=b"mask")[0] == 404


def test_no_mask_is_taken_where_corrections_are_off(result):
    with served(shown(result)) as server:
        assert ask(server, "correction", method="POST", body=b"mask")[0] == 404
