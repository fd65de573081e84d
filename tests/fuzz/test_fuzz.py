"""Damaged, odd and hostile inputs of every kind: a right result, or one sentence; nothing left behind, nothing silent.

``make fuzz`` tries more, and others: ``make fuzz COUNT=5000 SEED=7``. One case again, with its seed and a count that
holds it: ``FUZZ_SEED=7 FUZZ_COUNT=5000 pytest tests/fuzz -k dicom-113``; its folder stays below pytest's.
"""

import os
import shutil
import sys
from pathlib import Path

import pytest

if sys.platform != "linux":
    pytest.skip("limits of a process are told in /proc", allow_module_level=True)

from fuzz_kind import Kind
from fuzz_rule import Good, content, faults, in_folder, run, told_lines
from kinds import BY_NAME, KINDS, cases, random_of
from known_failures import KNOWN_FAILURES

from pancascade.execution import Finished
from pancascade.segmentation.batch import case_work
from pancascade.training import validation

COUNT, SEED = int(os.environ.get("FUZZ_COUNT", "200")), int(os.environ.get("FUZZ_SEED", "0"))


@pytest.fixture(autouse=True)
def without_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    """The page of an evaluation and a validation's picture take seconds, and have tests of their own."""
    monkeypatch.setattr(validation, "_draw_sheet", lambda _, picture: picture.touch())
    monkeypatch.setattr(
        "pancascade.report.comparison.comparison_page.write_comparison",
        lambda path, *_, **__: path.write_text("report"),
    )


class Here:
    """Works on the cases of a batch in this process, whose time and memory are limited."""

    def run(self, work, jobs):
        for job in jobs:
            yield Finished(job, work(job))


@pytest.fixture(autouse=True)
def in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pancascade.cli.executor_options.choose_executor", lambda *_, **__: Here())
    case_work._loaded.cache_clear()


@pytest.fixture(scope="module")
def good_inputs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Good inputs made so far, by kind."""
    return {"": tmp_path_factory.mktemp("good")}


@pytest.fixture(scope="module")
def good_answers() -> dict[tuple[str, str], Good]:
    """What commands say to good inputs, by kind and command, made so far."""
    return {}


def marked() -> list[object]:
    known = KNOWN_FAILURES if SEED == 0 else {}
    found = []
    for kind, number in cases(COUNT):
        name = f"{kind}-{number}"
        marks = [pytest.mark.xfail(strict=True, reason=known[name])] if name in known else []
        found.append(pytest.param(kind, number, id=name, marks=marks))
    return found


@pytest.mark.parametrize(("kind_name", "number"), marked())
def test_a_mutated_input_is_read_right_or_refused_in_a_sentence(
    kind_name, number, tmp_path, good_inputs, good_answers, capfd
):
    kind, random = BY_NAME[kind_name], random_of(SEED, kind_name, number)
    require_libraries(kind)
    command = random.choice(kind.commands)
    if kind_name not in good_inputs:
        good_inputs[kind_name] = good_inputs[""] / kind_name
        good_inputs[kind_name].mkdir()
        kind.build(good_inputs[kind_name])
    if (kind_name, command) not in good_answers:
        folder = shutil.copytree(good_inputs[kind_name], tmp_path / "good")
        good_answers[kind_name, command] = good_answer(kind, command, folder, good_inputs[kind_name], capfd)
    good = good_answers[kind_name, command]

    folder = shutil.copytree(good.folder, tmp_path / "case")
    what = kind.mutate(folder, random)
    before = content(folder)
    ended = in_folder(folder, lambda: run(command, capfd))
    found = faults(kind, command, folder, good=good, ended=ended, before=before)
    assert not found, f"{what}\n$ pancascade {command}\n" + "\n".join(found)
    shutil.rmtree(tmp_path)


def good_answer(kind: Kind, command: str, folder: Path, source: Path, capture: "pytest.CaptureFixture[str]") -> Good:
    """What the command says to the good input."""
    before = content(folder)
    ended = in_folder(folder, lambda: run(command, capture))
    assert ended.code in (0, 1), f"{command}: {ended}"
    answer = kind.answer(folder, command)
    good = Good(source, ended.code, answer, told_lines(ended))
    assert faults(kind, command, folder, good=good, ended=ended, before=before) == []
    return good


def require_libraries(kind: Kind) -> None:
    """Skip a kind whose extras are not installed."""
    for library in kind.needs:
        pytest.importorskip(library, reason=f"{library} is not installed")


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind.least_count <= COUNT], ids=lambda kind: kind.name)
def test_the_same_seed_makes_the_same_input(kind, tmp_path):
    require_libraries(kind)
    (tmp_path / "good").mkdir()
    kind.build(tmp_path / "good")
    made = []
    for part in ("one", "two"):
        folder = shutil.copytree(tmp_path / "good", tmp_path / part)
        made.append((kind.mutate(folder, random_of(3, kind.name, 0)), content(folder)))
    assert made[0] == made[1]
    assert made[0][1] != content(tmp_path / "good")
