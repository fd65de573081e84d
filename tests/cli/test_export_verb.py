import json
import sys

import pytest

from pancascade.cli.app import main


def run(monkeypatch, *arguments) -> int:
    monkeypatch.setattr(sys, "argv", ["pancascade", *map(str, arguments)])
    with pytest.raises(SystemExit) as ended:
        main()
    return ended.value.code or 0


def test_a_shipped_model_is_exported_and_compared(monkeypatch, tmp_path, capsys):
    pytest.importorskip("openvino")
    out = tmp_path / "out"
    assert run(monkeypatch, "export", "qiu2024-small", "--format", "openvino", "--out", out) == 0
    description = json.loads((out / "export.json").read_text())
    said = capsys.readouterr().out
    for step in description["steps"]:
        for network in step["networks"]:
            assert (out / network["file"]).is_file()
            assert network["file"] in said
            assert network["largest_difference"] < 1e-3
    assert "largest difference from torch" in said
    assert "CC BY-NC 4.0" in said
    assert description["card"] == "model-card.md"
    assert "Research only" in (out / "model-card.md").read_text()


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("nothing", "--out", "out"), "no such model"),
        (
            ("qiu2024-small", "--format", "tflite", "--out", "out"),
            "--format tflite: known are onnx, openvino, pancascade.",
        ),
    ],
)
def test_bad_arguments_end_in_one_sentence(monkeypatch, tmp_path, capsys, arguments, sentence):
    monkeypatch.chdir(tmp_path)
    assert run(monkeypatch, "export", *arguments) == 2
    said = capsys.readouterr().err
    assert sentence in said
    assert "Traceback" not in said
    assert not (tmp_path / "out").exists()


def test_a_folder_that_cannot_be_written_is_named(monkeypatch, tmp_path, capsys):
    pytest.importorskip("openvino")
    (tmp_path / "file").write_text("")
    assert run(monkeypatch, "export", "qiu2024-small", "--format", "openvino", "--out", tmp_path / "file" / "out") == 2
    assert "cannot be written" in capsys.readouterr().err
