import runpy
import subprocess
import sys

import pytest

from pancascade.inference.models.known_models import shipped_models


def test_each_shipped_model_is_listed_with_what_it_finds_and_its_licence(pancascade, monkeypatch):
    monkeypatch.setenv("COLUMNS", "250")
    code, reported, err = pancascade("models")
    assert (code, err) == (0, "")
    assert shipped_models()
    for model in shipped_models():
        assert model.name in reported
        assert model.summary in reported
        assert model.licence in reported


@pytest.mark.parametrize("name", [model.name for model in shipped_models()])
def test_a_model_s_card_is_shown(pancascade, monkeypatch, name):
    monkeypatch.setenv("COLUMNS", "250")
    code, reported, err = pancascade("models", name)
    assert (code, err) == (0, "")
    assert "licen" in reported.lower()
    assert len(reported) > 500


def test_an_unknown_model_is_one_sentence(pancascade):
    code, _, err = pancascade("models", "qiu2042")
    assert code == 2
    assert err.startswith("Error: qiu2042: no such model; shipped: ")
    assert err.count("\n") == 1


def test_the_package_is_a_command_as_well(monkeypatch, capsys):
    ended = subprocess.run([sys.executable, "-m", "pancascade", "models"], capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert "qiu2024-small" in ended.stdout
    monkeypatch.setattr(sys, "argv", ["pancascade", "models", "qiu2042"])
    with pytest.raises(SystemExit, match="2"):
        runpy.run_module("pancascade", run_name="__main__")
    assert capsys.readouterr().err.startswith("Error: qiu2042: no such model")
