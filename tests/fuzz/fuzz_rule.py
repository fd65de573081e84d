"""The rule that every case must keep, whatever its input."""

import hashlib
import logging
import os
import re
import shlex
import sys
import tempfile
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from fuzz_kind import Answer, Kind
from limits import HungError, limited

from pancascade.cli.app import main

MOST_CHARACTERS = 200
# Words of libraries, and of Python, that no sentence to a user needs.
FOREIGN = ("Traceback", "Value error,", "validation error", "pydantic.dev", "fault of pancascade")
FOREIGN_PATTERN = re.compile(r"\.py:\d+|<class '|object at 0x")
INCOMPLETE_PATTERN = re.compile(r"^(?:No numbers for .*?: |Left out: |Not in the store: .*?: |Size unknown: )(.*)$")


@dataclass(frozen=True)
class Ended:
    """How a command ended.

    Attributes:
        code: Exit code; None where the time was up.
        out: Standard output.
        err: Standard error, with what was logged and what Python warned of.
    """

    code: int | None
    out: str
    err: str


@dataclass(frozen=True)
class Good:
    """The good input of a kind, and what a command says to it."""

    folder: Path
    code: int
    answer: Answer
    lines: frozenset[str]


def run(command: str, capture: "pytest.CaptureFixture[str]") -> Ended:
    """Run a command in this process and in the present folder."""
    before, sys.argv = sys.argv, ["pancascade", *shlex.split(command)]
    capture.readouterr()
    log = logging.StreamHandler(sys.stderr)
    logging.getLogger().addHandler(log)
    torch.set_warn_always(True)  # else only the first of two cases hears torch's warnings
    code: int | None = 0
    warned: list[warnings.WarningMessage] = []
    try:
        with warnings.catch_warnings(record=True) as warned, limited():
            warnings.simplefilter("default")
            main()
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else 0
    except HungError:
        code = None
    finally:
        sys.argv = before
        torch.set_warn_always(False)
        logging.getLogger().removeHandler(log)
    out, err = capture.readouterr()
    err = "".join(warnings.formatwarning(w.message, w.category, w.filename, w.lineno) for w in warned) + err
    return Ended(code, out, err)


def content(folder: Path) -> dict[str, str]:
    """Digest of every file below a folder, by its path; folders and links as themselves."""
    found = {}
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        if path.is_symlink():
            found[name] = str(path.readlink())
        else:
            found[name] = hashlib.blake2b(path.read_bytes()).hexdigest() if path.is_file() else "folder"
    return found


def faults(kind: Kind, command: str, folder: Path, *, good: Good, ended: Ended, before: dict[str, str]) -> list[str]:
    """What is against the rule; empty where nothing is."""
    found = _faults_of_end(ended, good)
    found += _faults_of_files(kind, ended, before, content(folder))
    if ended.code in (0, 1) and not found:
        try:
            answer = kind.answer(folder, command)
        except Exception as error:  # whatever is wrong with what was written
            return [f"exit {ended.code} with a result that cannot be read: {type(error).__name__}: {error}"]
        found += _faults_of_answer(kind, command, folder, answer=answer, good=good, ended=ended)
    return found


def _faults_of_end(ended: Ended, good: Good) -> list[str]:
    if ended.code is None:
        return ["it did not end"]
    reported = ended.out + ended.err
    if ended.code not in (0, 1, 2):
        return [f"exit {ended.code}: {reported[-300:]}"]
    found = [f"says {word!r}" for word in FOREIGN if word in reported]
    found += [f"says {match[0]!r}" for match in [FOREIGN_PATTERN.search(reported)] if match]
    lines = ended.err.strip().splitlines()
    if ended.code == 2:
        if not lines or not lines[-1].startswith("Error: "):
            found.append(f"exit 2, and its last line is no sentence: {ended.err[-600:]!r}")
    elif ended.code == 1 and not reported.strip():
        found.append("exit 1 without a word")
    # In the middle of standard output a sentence stands behind the name of its case.
    beside = [match[1] for line in reported.splitlines() if (match := INCOMPLETE_PATTERN.match(line))]
    sentences = [*beside, *(line for line in lines if not INCOMPLETE_PATTERN.match(line))]
    return found + [f"{len(text)} characters: {text}" for text in sentences if len(text) > MOST_CHARACTERS]


def _faults_of_files(kind: Kind, ended: Ended, before: dict[str, str], after: dict[str, str]) -> list[str]:
    # A run that goes on writes into its own folder; one that is refused does not.
    given = {name: digest for name, digest in before.items() if ended.code == 2 or not name.startswith("out")}
    found = [f"changed {name}" for name, digest in given.items() if after.get(name) != digest]
    new = sorted(after.keys() - before.keys())
    stray = [name for name in new if not name.startswith("out")]
    hidden = [name for name in new if any(part.startswith((".", "tmp")) or ".tmp" in part for part in Path(name).parts)]
    found += [f"left behind {name}" for name in {*stray, *hidden}]
    if ended.code not in (0, 1):
        allowed = {"refusal.json", *kind.left}
        found += [f"refused, and left {name}" for name in new if "/" in name and Path(name).parts[1] not in allowed]
        tops = {Path(name).parts[0] for name in new}
        empty = [top for top in tops if not any(name.startswith(f"{top}/") for name in new)]
        found += [f"refused, and left {top}" for top in empty]
    return found


def _faults_of_answer(kind: Kind, command: str, folder: Path, *, answer: Answer, good: Good, ended: Ended) -> list[str]:
    differing = [key for key in good.answer if key in answer and answer[key] != good.answer[key]]
    differing += [key for key in answer if key not in good.answer]
    if ended.code == 0:
        differing += [key for key in good.answer if key not in answer]
    if not differing or _new_lines(ended, good) or kind.excused(folder, command, answer, good.folder):
        return []
    return [f"another answer without a word: {', '.join(map(str, differing[:5]))}"]


def _new_lines(ended: Ended, good: Good) -> set[str]:
    """Warnings that the good input does not get."""
    lines = [line.strip() for line in (ended.out + ended.err).splitlines()]
    return {line for line in lines if line and line in told_lines(ended)} - good.lines


def told_lines(ended: Ended) -> frozenset[str]:
    """Lines that warn: all of standard error, and those of standard output that begin so."""
    warned = [
        line
        for line in ended.out.splitlines()
        if re.match(r"\s*(Warning|No numbers|Not |Left out|Differs|Size unknown)", line)
    ]
    return frozenset(line.strip() for line in [*warned, *ended.err.splitlines()])


def in_folder(folder: Path, work: Callable[[], Ended]) -> Ended:
    """Work in a folder, with a place for temporary files of its own, which must be empty afterwards."""
    scratch = folder.parent / f"{folder.name}-scratch"
    scratch.mkdir()
    back, kept = Path.cwd(), tempfile.tempdir
    os.chdir(folder)
    tempfile.tempdir = str(scratch)
    try:
        ended = work()
    finally:
        os.chdir(back)
        tempfile.tempdir = kept
    left = sorted(path.name for path in scratch.iterdir())
    assert not left, f"left in the folder for temporary files: {left}"
    scratch.rmdir()
    return ended
