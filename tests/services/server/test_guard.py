"""Who is answered, and what browsers are told."""

import pytest
import stub_work
from running import running

TOKEN = "a-token-of-the-tests"
BEARER = {"Authorization": f"Bearer {TOKEN}"}
HTML = {"Accept": "text/html,*/*"}


@pytest.fixture(scope="module")
def guarded(tmp_path_factory):
    origins = ("https://viewer.example",)
    folder = tmp_path_factory.mktemp("guarded")
    with running(folder, token=TOKEN, allowed_hosts=("ct.hospital.example",), allowed_origins=origins) as server:
        yield server


@pytest.mark.parametrize(
    "place", ["/", "/jobs", "/events", "/page/page.js", "/openapi.json", "/nothing", "/jobs/1/report"]
)
def test_without_the_token_nothing_is_answered(guarded, place):
    answer = guarded.client.get(place)
    assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")
    assert guarded.detail(answer) == "A token is needed. Send it as `Authorization: Bearer TOKEN`."
    assert TOKEN not in answer.text


@pytest.mark.parametrize("given", ["Bearer wrong", f"Basic {TOKEN}", "Bearer", "Bearer \xe9", f"Bearer {TOKEN}x"])
def test_a_wrong_token_is_refused(guarded, given):
    answer = guarded.client.get("/jobs", headers={"Authorization": given.encode("latin-1")})
    assert (answer.status_code, guarded.detail(answer)[:18]) == (401, "The token is wrong")
    assert guarded.client.get("/jobs", params={"token": TOKEN}).status_code == 401  # only on the first page


def test_an_upload_without_the_token_is_not_read(guarded):
    assert guarded.send(stub_work.upload()).status_code == 401
    assert guarded.on_disk() == set()


def test_with_the_token_all_is_answered(guarded):
    assert guarded.client.get("/jobs", headers=BEARER).json() == {"jobs": []}
    assert guarded.client.get("/", headers=BEARER).text.startswith("<!DOCTYPE html>")


def test_the_first_page_takes_the_token_from_its_address_and_leaves_a_cookie(guarded):
    asked = guarded.client.get("/", headers=HTML)
    assert (asked.status_code, 'name="token"' in asked.text, "wrong" in asked.text) == (401, True, False)
    assert guarded.client.get("/page/page.css").status_code == 200
    wrong = guarded.client.get("/", params={"token": "<script>"}, headers=HTML)
    assert (wrong.status_code, "That token is wrong." in wrong.text, "<script>" in wrong.text) == (401, True, False)
    answer = guarded.client.get("/", params={"token": TOKEN}, headers=HTML)
    assert (answer.status_code, answer.headers["location"]) == (303, "/")
    cookie = answer.headers["set-cookie"]
    assert {"HttpOnly", "SameSite=Strict", "Path=/"} <= set(cookie.split("; "))
    assert TOKEN not in cookie
    name, _, value = cookie.split(";")[0].partition("=")
    guarded.client.cookies.clear()
    for given, status in ((value, 200), ("0" * 64, 401)):
        assert guarded.client.get("/jobs", headers={"Cookie": f"other=1; {name}={given}"}).status_code == status
    assert guarded.client.get("/jobs", headers={"Cookie": "=;=\x01"}).status_code == 401


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("localhost", 200),
        ("LOCALHOST:1234", 200),
        ("127.0.0.1:99", 200),
        ("[::1]:80", 200),
        ("10.0.0.7", 200),
        ("ct.hospital.example", 200),
        ("ct.hospital.example.:443", 200),
        ("evil.example", 400),
        ("localhost.evil.example", 400),
        ("127.0.0.1.evil.example", 400),
        ("[", 400),
    ],
)
def test_a_name_that_is_not_ours_is_refused(guarded, host, status):
    answer = guarded.client.get("/jobs", headers={**BEARER, "Host": host})
    assert answer.status_code == status
    if status == 400:
        assert "--allow-host" in guarded.detail(answer)


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 404),
        ({"Origin": "http://{host}"}, 404),
        ({"Origin": "https://viewer.example"}, 404),
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "http://["}, 403),  # no address at all
        ({"Origin": "http://127.0.0.1"}, 403),  # another port is another page
        ({"Sec-Fetch-Site": "same-origin"}, 404),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "same-site"}, 403),
    ],
)
def test_no_other_web_page_can_change_anything(server, guarded, headers, status):
    # Also without a token: any page that the user visits could send a form to the loopback address.
    for one, also in ((server, {}), (guarded, BEARER)):
        own = one.address.split("//")[1].strip("/")
        sent = {name: value.format(host=own) for name, value in headers.items()}
        if one is server and "viewer" in sent.get("Origin", ""):
            continue
        assert one.client.delete(f"/jobs/{'0' * 32}", headers={**sent, **also}).status_code == status


def test_pages_that_are_allowed_may_read_and_others_may_not(guarded):
    for origin, allowed in (("https://viewer.example", "https://viewer.example"), ("https://evil.example", None)):
        answer = guarded.client.get("/jobs", headers={**BEARER, "Origin": origin})
        assert answer.headers.get("access-control-allow-origin") == allowed
    asked = {"Origin": "https://viewer.example", "Access-Control-Request-Method": "POST"}
    answer = guarded.client.request("OPTIONS", "/jobs", headers=asked)  # browsers send no token with this one
    assert answer.status_code == 204
    assert "authorization" in answer.headers["access-control-allow-headers"]


@pytest.mark.parametrize("place", ["/", "/jobs", "/nothing", "/page/page.js"])
def test_every_answer_tells_browsers_what_they_may_not_do(server, place):
    headers = server.client.get(place).headers
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["x-frame-options"] == "DENY"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["cache-control"] == "no-store"
    policy = headers["content-security-policy"]
    assert "default-src 'none'" in policy and "unsafe" not in policy
    assert "server" not in headers


@pytest.mark.parametrize("place", ["/docs", "/redoc"])
def test_there_is_no_page_that_loads_scripts_from_elsewhere(server, place):
    assert server.client.get(place).status_code == 404
    assert server.client.get("/openapi.json").status_code == 200


@pytest.mark.parametrize(
    ("method", "place", "status"), [("GET", "/nothing", 404), ("PUT", "/jobs", 405), ("GET", "/page/job.py", 404)]
)
def test_an_address_that_there_is_not_is_told_in_a_sentence(server, method, place, status):
    answer = server.client.request(method, place)
    assert answer.status_code == status
    assert server.detail(answer)


def test_a_fault_of_the_server_is_a_sentence_and_its_log_quotes_nothing(server, monkeypatch, caplog):
    def broken():
        raise RuntimeError("MILLER JANE")

    monkeypatch.setattr(server.service.jobs, "all", broken)
    answer = server.client.get("/jobs")
    assert (answer.status_code, server.detail(answer)) == (
        500,
        "Unexpected fault of the server. Try again, and report it.",
    )
    monkeypatch.undo()
    assert "RuntimeError" in caplog.text
    assert "MILLER" not in caplog.text


def test_an_open_stream_does_not_keep_a_server_from_its_end(tmp_path):
    with running(tmp_path) as server:
        stream = server.events("/events")
        assert next(stream) == ("jobs", {"jobs": []})
        server.service.stop()
        assert list(stream) == []
        answer = server.send(stub_work.upload())
        assert (answer.status_code, server.detail(answer)) == (503, "The server is about to end. Try again later.")
