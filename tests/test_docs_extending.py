"""docs/extending.md is true: its examples pass their tests in a copy of the package, two files and a test each."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import pancascade

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "extending.md"
BLOCK = re.compile(r"(?m)^`((?:src|tests)/\S+)`(, new)?:\n\n```(\w+)\n(.*?)^```", re.DOTALL)
PARTS = ("A network", "A loss", "A metric", "A reader", "A section of the report", "A verb")


def examples() -> dict[str, list[tuple[str, bool, str, str]]]:
    """Path, whether it is new, language and text of each file of each example."""
    sections = dict(re.findall(r"(?ms)^## ([^\n]+)\n(.*?)(?=^## |\Z)", PAGE.read_text(encoding="utf-8")))
    return {
        title: [(path, bool(new), kind, text) for path, new, kind, text in BLOCK.findall(sections[title])]
        for title in PARTS
    }


def changed(text: str, difference: str) -> str:
    """A file after a difference without line numbers, each of whose parts fits one place."""
    for part in re.split(r"(?m)^@@\n", difference):
        lines = part.splitlines(keepends=True)
        before = "".join(line[1:] for line in lines if line[0] != "+")
        assert text.count(before) == 1, before
        text = text.replace(before, "".join(line[1:] for line in lines if line[0] != "-"))
    return text


@pytest.fixture(scope="module")
def extended(tmp_path_factory) -> Path:
    """A copy of the package with all examples, and their tests."""
    root = tmp_path_factory.mktemp("extended")
    there = Path(pancascade.__file__).parent
    shutil.copytree(
        # With what Python has compiled already: compiling all anew would take longer than the tests.
        there,
        root / "src" / "pancascade",
        ignore=shutil.ignore_patterns("*.onnx", "*.safetensors"),
    )
    shutil.copy(ROOT / "pyproject.toml", root)
    for files in examples().values():
        for name, new, _, text in files:
            path = root / name
            assert path.exists() != new, name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text if new else changed(path.read_text(encoding="utf-8"), text), encoding="utf-8")
    return root


@pytest.mark.parametrize("title", PARTS)
def test_a_part_takes_at_most_two_files_and_a_test(title):
    names = [name for name, *_ in examples()[title]]
    assert len([name for name in names if name.startswith("src/")]) in (1, 2)
    assert len([name for name in names if name.startswith("tests/")]) == 1


def test_every_example_passes_its_test(extended):
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(map(str, (extended / "src", ROOT / "tests" / "report"))),
        "OMP_NUM_THREADS": "1",
        "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
    }
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests"]
    done = subprocess.run(command, cwd=extended, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "7 passed" in done.stdout


def test_every_example_is_as_clean_as_the_package(extended):
    pytest.importorskip("ruff")
    paths = [name for files in examples().values() for name, *_ in files if name.endswith(".py")]
    for verb in (["check"], ["format", "--check"]):
        command = [sys.executable, "-m", "ruff", *verb, "--no-cache", *paths]
        done = subprocess.run(command, cwd=extended, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
