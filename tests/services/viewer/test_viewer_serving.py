"""The page of one result on the loopback address."""

import errno
import json
import os
import socket
import struct
from contextlib import contextmanager
from http.client import HTTPConnection
from threading import Semaphore, Thread

import pytest

from pancascade.errors import DataError, OutputError
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


def sent_and_left(server, request, *, at_once=True):
    """What is answered to bytes as they are; a client that leaves resets the connection."""
    with socket.create_connection(server.server_address) as connection:
        connection.sendall(request)
        if at_once:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            return b""
        connection.shutdown(socket.SHUT_WR)
        return b"".join(iter(lambda: connection.recv(65536), b""))


def test_a_browser_that_goes_away_leaves_no_word_on_the_terminal(result, capfd, caplog):
    with served(shown(result, lambda *_: "001.nii.gz")) as server:
        ended = Semaphore(0)
        finish = server.shutdown_request

        def finished(request):
            finish(request)
            ended.release()

        server.shutdown_request = finished
        host = f"Host: 127.0.0.1:{server.server_address[1]}\r\n"
        head = f"POST /{server.token}/correction?author=A HTTP/1.1\r\n{host}Content-Length: 1000\r\n\r\n"
        sent_and_left(server, f"GET /{server.token}/niivue.umd.js HTTP/1.1\r\n{host}\r\n".encode())
        sent_and_left(server, head.encode() + b"half")
        for _ in range(2):
            ended.acquire()
        cut_off = sent_and_left(server, head.encode() + b"half", at_once=False)
    assert cut_off.startswith(b"HTTP/1.1 400") and b"The mask was cut off" in cut_off
    assert capfd.readouterr().err == "" and caplog.messages == []


def test_what_is_no_request_for_us_is_answered_in_a_sentence(result, capfd):
    with served(shown(result)) as server:
        host = f"Host: 127.0.0.1:{server.server_address[1]}\r\nConnection: close\r\n\r\n"
        for line in ("GET http://[ HTTP/1.1", "PUT / HTTP/1.1", "DELETE / HTTP/1.1", f"GET /{'a' * 70_000} HTTP/1.1"):
            head, _, body = sent_and_left(server, f"{line}\r\n{host}".encode(), at_once=False).partition(b"\r\n\r\n")
            assert b"default-src 'none'" in head
            assert "pancascade view" in json.loads(body)["detail"]
        assert ask(server, "", method="HEAD")[::2] == (501, b"")
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("wrapped", [True, False])
def test_a_mask_that_does_not_fit_on_the_disk_is_told(result, wrapped):
    def save(content, author):
        error = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        if wrapped:
            raise OutputError("result: cannot be written. Choose another --out folder.") from error
        raise error

    with served(shown(result, save)) as server:
        status, _, answer = ask(server, "correction?author=A", method="POST", body=b"mask")
    assert status == 507
    assert json.loads(answer)["detail"] == "The mask cannot be written (no space left on device). Download it."
