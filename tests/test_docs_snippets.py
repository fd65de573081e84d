"""Every snippet of the documents: Python runs on tiny data, command lines are ones that the verbs take."""

import json
import re
import shlex
import shutil
import sys
from pathlib import Path

sys.path.extend(str(Path(__file__).parent / folder) for folder in ("evaluation", "inference", "data"))

import nibabel as nib
import numpy as np
import pytest
import typer.main
from abdomen_phantom import HounsfieldCascade, abdomen, described
from abdomen_set import write_msd
from mask_cases import AFFINE, label_map

from pancascade.cli.app import app
from pancascade.imaging.io import write_volume
from pancascade.imaging.volume import Volume
from small_pictures import small_pictures

__all__ = ["small_pictures"]

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
OWN_TESTS = {"methods.md": "test_docs_methods.py", "extending.md": "test_docs_extending.py"}
"""Pages whose Python has tests of its own."""

_STOPS = {"|", "||", "&&", ";", "&", ">", ">>", "<", "2>", "(", ")"}


def _snippets(kind: str) -> dict[str, str]:
    found = {}
    for page in PAGES:
        for number, text in enumerate(
            re.findall(rf"(?m)^```{kind}\n(.*?)^```", page.read_text(encoding="utf-8"), re.DOTALL)
        ):
            found[f"{page.name}-{number + 1}"] = text
    return found


PYTHON = {name: text for name, text in _snippets("python").items() if name.split("-")[0] not in OWN_TESTS}


def _command_lines(text: str) -> list[list[str]]:
    """The words of every call of pancascade in a snippet, without what the shell makes of the rest."""
    calls = []
    for line in text.replace("\\\n", " ").splitlines():
        lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
        lexer.wordchars += ":=$@%{}[],+~^*?"
        words = list(lexer)
        while "pancascade" in words:
            words = words[words.index("pancascade") + 1 :]
            end = next((at for at, word in enumerate(words) if word in _STOPS), len(words))
            calls.append(words[:end])
            words = words[end:]
    return calls


CALLS = {
    f"{name}: {' '.join(words)[:70]}": words
    for name, text in _snippets("sh").items()
    for words in _command_lines(text)
    if "pip install" not in text or words
}


def test_snippets_are_found_on_many_pages():
    assert len(PYTHON) >= 9
    assert len(CALLS) >= 80
    assert {name.split("-")[0] for name in CALLS} >= {"README.md", "batch.md", "data.md", "training.md"}


@pytest.mark.parametrize("call", CALLS)
def test_a_command_line_is_one_that_its_verb_takes(call):
    words, command = [word for word in CALLS[call] if word not in ("...", "…")], typer.main.get_command(app)
    while words and hasattr(command, "commands") and not words[0].startswith("-"):
        command = command.commands[words.pop(0)]
    if {"--help", "-h", "--version", "--install-completion"} & set(words):
        return
    try:
        assert command.make_context("pancascade", words).command is command
    except typer.BadParameter as error:
        assert "…" in CALLS[call], error  # what is left out there
        assert "Missing parameter" in str(error)


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    """What the snippets name, tiny."""
    folder = tmp_path_factory.mktemp("snippets")
    scan, labels = abdomen()
    mask = scan.with_voxels(labels)
    for name in ("SCAN.nii.gz", "scan.nii.gz", "examples/pancreatic_ct.nii.gz", "SCANS/a.nii.gz"):
        write_volume(scan, folder / name)
    write_volume(mask, folder / "segmentation.nii.gz")
    write_volume(scan.with_voxels(np.where(labels == 2, 1, labels).astype(np.uint8)), folder / "edited.nii.gz")
    write_volume(scan.with_voxels((labels == 0).astype(np.uint8)), folder / "veins.nii.gz")
    for n, case in enumerate("ab"):
        for name, seed in (("REFERENCE", n), ("PREDICTIONS", n), ("THEIRS", n + 50)):
            write_volume(Volume(label_map(seed), AFFINE), folder / name / f"{case}.nii.gz")
    write_msd(folder / "Task07_Pancreas", patients=2)
    return folder


@pytest.fixture
def prepared(data, tmp_path, monkeypatch) -> Path:
    """A copy of it as the working directory; every model is the phantom's."""
    shutil.copytree(data, tmp_path / "work")
    monkeypatch.chdir(tmp_path / "work")
    monkeypatch.setattr("pancascade.inference.runners.loading.has_graphs", lambda _: False)
    monkeypatch.setattr(
        "pancascade.inference.runners.torch_runners.load_checkpoint", lambda _: (HounsfieldCascade(), described())
    )
    monkeypatch.setattr("pancascade.data.checking.check.find_duplicates", lambda images: [])
    monkeypatch.setattr(
        "pancascade.report.comparison.comparison_page.write_comparison", lambda path, *_, **__: path.write_text("page")
    )
    return tmp_path / "work"


def _trained(prepared: Path, monkeypatch) -> None:
    """Training and the papers' pass need a trained run: stand-ins with the same signatures that do nothing."""
    import inspect

    import pancascade.api
    from pancascade.evaluation import data_set, localization
    from pancascade.inference import prediction

    run = pancascade.api.TrainedRun(prepared / "RUN", ({"dice": {}},))
    for module, name, result in (
        (pancascade.api, "train", run),
        (prediction, "predict_cases", type("Predictions", (), {"failed": ()})),
        (prediction, "localization_rows", []),
        (data_set, "evaluate_data_set", None),
        (localization, "box_iou_table", {}),
    ):
        signature = inspect.signature(getattr(module, name))

        def stand_in(*arguments, _signature=signature, _result=result, **options):
            _signature.bind(*arguments, **options)
            return _result

        monkeypatch.setattr(module, name, stand_in)
    patients = [f"p{number}" for number in range(2)]
    (prepared / "SPLIT.json").write_text(json.dumps({"train": patients[:1], "validation": [], "test": patients[1:]}))
    shutil.copytree(prepared / "Task07_Pancreas", prepared / "DATA")


@pytest.mark.parametrize("name", PYTHON)
def test_a_python_snippet_runs(name, prepared, monkeypatch):
    if name.split("-")[0] in ("training.md", "predict.md"):
        _trained(prepared, monkeypatch)
    if "RESULT" in PYTHON[name] and "save(" not in PYTHON[name]:
        import pancascade

        pancascade.segment("SCAN.nii.gz").save("RESULT", report=False)
    # One process: others would not know the phantom.
    text = PYTHON[name].replace("workers=4", "workers=1").replace("workers=2", "workers=1")
    exec(compile(text, name, "exec"), {"__name__": "__main__"})


def test_the_images_of_the_snippets_are_the_ones_that_nibabel_reads(data):
    assert nib.load(data / "SCAN.nii.gz").ndim == 3
