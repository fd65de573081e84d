"""docs/notices.md lists every code of a notice or refusal, and no other."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import pancascade
from pancascade import errors
from pancascade.errors import ScanError
from pancascade.inference.pipeline.result_warnings import AGAINST

PAGE = (Path(__file__).parents[1] / "docs" / "notices.md").read_text(encoding="utf-8")
PACKAGE = Path(pancascade.__file__).parent
SCAN_ERRORS = {name for name, kind in vars(errors).items() if isinstance(kind, type) and issubclass(kind, ScanError)}
CODE = re.compile(r"[a-z][a-z0-9_]*")


def strings(expression: ast.AST) -> Iterator[str]:
    """Text that an expression may give: itself, or either side of a condition."""
    if isinstance(expression, ast.IfExp):
        yield from strings(expression.body)
        yield from strings(expression.orelse)
    elif isinstance(expression, ast.Constant) and isinstance(expression.value, str):
        yield expression.value


def codes_in(module: ast.Module) -> Iterator[str]:
    """What is given as ``code``: by name, to a function of the module whose parameter it is, or as a class's own."""
    functions = [node for node in ast.walk(module) if isinstance(node, ast.FunctionDef)]
    places = {
        function.name: [argument.arg for argument in function.args.args].index("code")
        for function in functions
        if "code" in [argument.arg for argument in function.args.args]
    }
    for node in ast.walk(module):
        if isinstance(node, ast.Call):
            given = [keyword.value for keyword in node.keywords if keyword.arg == "code"]
            place = places.get(node.func.id) if isinstance(node.func, ast.Name) else None
            given += [] if place is None else node.args[place : place + 1]
            for value in given:
                yield from strings(value)
        elif isinstance(node, ast.ClassDef) and node.name in SCAN_ERRORS:
            for line in node.body:
                target = line.targets[0] if isinstance(line, ast.Assign) else getattr(line, "target", None)
                if isinstance(target, ast.Name) and target.id == "code":
                    yield from strings(line.value)


def in_code() -> set[str]:
    return {code for path in PACKAGE.rglob("*.py") for code in codes_in(ast.parse(path.read_text(encoding="utf-8")))}


def in_tables() -> list[str]:
    return re.findall(r"(?m)^\| `([a-z0-9_]+)` \|", PAGE)


def test_codes_are_found_however_they_are_given():
    module = ast.parse(
        'class ScanError:\n    code: str = "a"\nraise ScanError("no", code="b" if x else "c")\n'
        'def doubt(sentence, code): ...\ndoubt("no", "d")\ndoubt("no", code="e")\nexit(code=2)'
    )
    assert set(codes_in(module)) == {"a", "b", "c", "d", "e"}


def test_the_page_lists_every_code_once_and_no_other():
    assert sorted(in_tables()) == sorted(in_code())
    assert len(in_tables()) > 80


def test_codes_are_words_of_small_letters():
    assert [code for code in in_code() if not CODE.fullmatch(code)] == []


def test_the_page_lists_the_reasons_of_a_doubtful_location():
    (paragraph,) = re.findall(r"Reasons in `location.reasons`: (.*?)\.\n", PAGE, re.DOTALL)
    assert set(re.findall(r"`([a-z_]+)`", paragraph)) == set(AGAINST)


def refusals(path: Path) -> list[ast.Call]:
    calls = [node for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(node, ast.Call)]
    return [call for call in calls if isinstance(call.func, ast.Name) and call.func.id in SCAN_ERRORS]


@pytest.mark.parametrize(
    "path",
    sorted({*(PACKAGE / "imaging" / "io").rglob("*.py")} - {PACKAGE / "imaging" / "io" / "in_memory.py"}),
    ids=lambda path: path.stem,
)
def test_every_refusal_of_reading_names_its_own_code(path):
    without = [call.lineno for call in refusals(path) if "code" not in [keyword.arg for keyword in call.keywords]]
    assert without == [], f"{path.name}: give these errors a code, and list it in docs/notices.md"


def test_refusals_of_reading_are_looked_at():
    assert sum(len(refusals(path)) for path in (PACKAGE / "imaging" / "io").rglob("*.py")) > 50


def test_the_snippet_of_the_page_gives_codes(tmp_path):
    (snippet,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    names: dict = {}
    exec(snippet, names)  # the page's own
    assert names["codes_of"](str(tmp_path / "none.nii.gz")) == ["no_such_file"]
