"""Benchmarks import what there is, also in the programs that they start."""

import re
from importlib import import_module
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
IMPORT = re.compile(r"^\s*from (pancascade[\w.]*) import \(?([\w, ]+)", re.MULTILINE)


@pytest.mark.parametrize("path", sorted(BENCHMARKS.glob("*.py")), ids=lambda path: path.stem)
def test_a_benchmark_imports_names_that_there_are(path):
    for module, names in IMPORT.findall(path.read_text(encoding="utf-8")):
        for name in filter(None, map(str.strip, names.split(","))):
            assert hasattr(import_module(module), name.split(" as ")[0]), f"{module} has no {name}"
