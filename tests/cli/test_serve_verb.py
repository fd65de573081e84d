"""``pancascade serve``: what it refuses to start with, and how it starts and ends."""

import os
import signal
import subprocess
import sys
from urllib.request import Request, urlopen

import pytest
from typer.testing import CliRunner

from pancascade.cli.app import app
from pancascade.errors import PancascadeError
from pancascade.segmentation.batch.batch_options import SegmentOptions
from pancascade.segmentation.batch.model_check import require_models_elsewhere


def refused(*arguments: object) -> str:
    """The sentence with which the verb ends before it serves anything."""
    result = CliRunner().invoke(app, ["serve", *map(str, arguments)], env={"PANCASCADE_TOKEN": ""})
    assert isinstance(result.exception, PancascadeError), result.output
    assert result.output == ""
    assert len(str(result.exception)) <= 200
    return str(result.exception)


def test_beyond_this_computer_a_token_is_needed():
    assert "needs a token" in refused("--host", "0.0.0.0", "--port", 0)


def test_a_token_that_can_be_guessed_is_refused_and_not_shown(tmp_path):
    for token in ("secret", "with spaces and more than sixteen"):
        said = refused("--token", token, "--port", 0)
        assert "`new` makes one" in said
        assert token not in said


def test_a_port_in_use_is_told_and_nothing_is_left(tmp_path):
    from pancascade.services.server.server_run import bound_socket

    with bound_socket("127.0.0.1", 0) as taken:
        port = taken.getsockname()[1]
        said = refused("--port", port, "--folder", tmp_path / "new")
        assert said == f"--port {port}: another program listens there. Choose another port."
    assert not (tmp_path / "new").exists()


def test_an_address_of_another_computer_is_refused():
    said = refused("--host", "192.0.2.1", "--port", 0, "--token", "new")
    assert said == "--host 192.0.2.1: none of this computer's addresses. Choose another one."


def test_without_its_libraries_it_says_what_to_install(monkeypatch):
    from pancascade.services.server import server_run as run

    monkeypatch.setattr(run, "find_spec", lambda name: None if name == "uvicorn" else object())
    assert refused() == 'The server needs uvicorn, which is not installed. Run pip install "pancascade[server]".'


def test_a_model_that_there_is_not_is_refused_at_once():
    assert "no such model" in refused("--model", "nonsense")


def test_a_model_that_cannot_be_loaded_is_refused_before_the_server_listens(tmp_path):
    (tmp_path / "own.safetensors").write_bytes(b"no weights")
    with pytest.raises(PancascadeError, match=r"own\.safetensors"):
        require_models_elsewhere(SegmentOptions(model=(str(tmp_path / "own.safetensors"),)))
    require_models_elsewhere(SegmentOptions())


def test_a_recipe_for_corrections_that_there_is_not_is_refused_at_once():
    assert "nothing: no such recipe" in refused("--train-with", "nothing", "--port", 0)


def test_a_folder_that_cannot_be_written_is_refused(tmp_path):
    (tmp_path / "file").touch()
    assert "cannot be written" in refused("--folder", tmp_path / "file" / "in", "--port", 0)


def test_corrections_are_not_kept_among_the_jobs_which_are_removed(tmp_path):
    for place in ("jobs", "jobs/kept"):
        said = refused("--folder", tmp_path, "--corrections", tmp_path / place, "--port", 0)
        assert said.startswith("--corrections: is the folder of the jobs")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("arguments", [("--max-upload", 0), ("--max-upload", "nan"), ("--allow-origin", "evil/x")])
def test_settings_that_cannot_be_are_refused(arguments):
    assert refused(*arguments)


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
def test_it_serves_until_it_is_told_to_end_and_leaves_nothing(tmp_path):
    code = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
    code += "from pancascade.cli.app import main; main()"
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    for number, host in ((signal.SIGINT, "127.0.0.1"), (signal.SIGTERM, "::1")):
        arguments = ["serve", "--port", "0", "--token", "new", "--host", host]
        process = subprocess.Popen(
            [sys.executable, "-c", code, *arguments], stdout=subprocess.PIPE, text=True, env=environment
        )
        first = process.stdout.readline()
        if not first and host == "::1":
            process.wait()
            continue  # a computer without IPv6
        address, _, token = first.split()[1].partition("?token=")
        with urlopen(Request(f"{address}jobs", headers={"Authorization": f"Bearer {token}"})) as answer:
            assert answer.read() == b'{"jobs":[]}'
        assert len(list(tmp_path.iterdir())) == 1
        process.send_signal(number)
        said, _ = process.communicate()
        assert process.returncode == 0
        assert said.endswith("Stopped.\n")
        assert list(tmp_path.iterdir()) == []
