"""What all verbs have in common."""

import logging
import os
import shlex
import subprocess
import sys

import pytest
import typer.main

from pancascade.cli.app import app
from pancascade.cli.choices import CHOICES
from pancascade.cli.spoken import HEADER, NamesOnly, spoken


def _verbs(group, names=()):
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from _verbs(command, (*names, name))
        else:
            yield (*names, name), command


VERBS = dict(_verbs(typer.main.get_command(app)))
BY_NAME = {" ".join(names): names for names in VERBS}


@pytest.fixture(params=BY_NAME)
def verb(request):
    return BY_NAME[request.param]


def test_every_verb_is_among_them():
    assert {"segment", "compare-dates", "data export-nnunet"} <= BY_NAME.keys()
    assert len(VERBS) >= 24


def test_the_example_in_the_help_is_a_command_line_that_the_verb_takes(verb):
    example = VERBS[verb].epilog.removeprefix("\b\nExample: ")
    program, *arguments = shlex.split(example)
    assert (program, *arguments[: len(verb)]) == ("pancascade", *verb)
    context = VERBS[verb].make_context("example", arguments[len(verb) :])
    assert context.params["quiet"] is False


def test_every_verb_has_the_common_options_and_the_short_out(verb):
    names = {name for parameter in VERBS[verb].params for name in parameter.opts}
    assert {"-q", "--quiet", "-v", "--verbose", "--log-file"} <= names
    assert ("-o" in names) == ("--out" in names)


def test_no_short_option_stands_for_two(verb):
    shorts = [name for parameter in VERBS[verb].params for name in parameter.opts if len(name) == 2]
    assert len(shorts) == len(set(shorts))


def test_dash_h_is_help_for_all_and_for_one_verb(pancascade):
    for arguments in ((), ("cohort",), ("data", "check")):
        code, out, _ = pancascade(*arguments, "-h")
        assert (code, out) == pancascade(*arguments, "--help")[:2]
        assert code == 0
        assert "pancascade" in out.splitlines()[0]
    assert "Example: pancascade data check" in out


@pytest.mark.parametrize(
    ("arguments", "option"),
    [
        (("segment", "x", "-o", "y", "--max-memory", "abc"), "--max-memory"),
        (("segment", "x", "-o", "y", "--backend", "abc"), "--backend"),
        (("serve", "--port", "abc"), "--port"),
        (("serve", "--port", "70000"), "--port"),
        (("batch", "x", "-o", "y", "--names", "abc"), "--names"),
    ],
)
def test_a_value_that_an_option_does_not_take_is_refused_in_plain_words(pancascade, arguments, option):
    code, _, err = pancascade(*arguments)
    assert code == 2
    assert option in err
    assert not any(phrase in err for phrase in ("Value error", "Input should", "unable to parse"))


def test_the_version_is_told(pancascade):
    from pancascade import __version__

    assert pancascade("--version") == (0, f"pancascade {__version__}\n", "")


def test_choices_stand_in_the_help(pancascade):
    _, out, _ = pancascade("evaluate", "--help")
    assert "--part <test|validation|train>" in out
    assert "--surface <surfel|voxel>" in out
    _, out, _ = pancascade("export", "--help")
    assert "--format <onnx|openvino|pancascade>" in out


def test_the_choices_of_the_help_are_those_that_the_verbs_take():
    from pancascade.data.readers.data_set_layout import Layout
    from pancascade.data.splits.splits import PARTS
    from pancascade.evaluation.protocol import PROTOCOLS, LesionRule, Protocol

    assert set(CHOICES["--layout"]()) == set(Layout)
    assert set(CHOICES["--part"]) == set(PARTS)
    assert set(CHOICES["--protocol"]) - {"FILE.yaml"} == set(PROTOCOLS)
    for option, model, field in (
        ("--missing", Protocol, "missing"),
        ("--other-labels", Protocol, "other_labels"),
        ("--surface", Protocol, "surface"),
        ("--hit", LesionRule, "hit"),
        ("--candidates", LesionRule, "candidates"),
    ):
        assert set(CHOICES[option]) == set(model.model_fields[field].annotation.__args__), option


def test_every_verb_that_segments_takes_every_backend():
    from pancascade.cli.segment_options import Backend as Option
    from pancascade.inference.backends.backend import Backend
    from pancascade.segmentation.batch.batch_options import BatchOptions

    for name in Backend.__args__:
        assert BatchOptions(backend=Option(name)).backend == name


def test_the_shell_completes_verbs_and_choices():
    def complete(words: str) -> list[str]:
        environment = {
            **os.environ,
            "_PANCASCADE_COMPLETE": "complete_bash",
            "COMP_WORDS": words,
            "COMP_CWORD": str(words.count(" ")),
        }
        code = "import sys; sys.argv = ['pancascade']; from pancascade.cli.app import main; main()"
        done = subprocess.run(
            [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False
        )
        assert not done.stderr
        return done.stdout.split()

    assert complete("pancascade comp") == ["compare", "compare-dates"]
    assert complete("pancascade evaluate --part v") == ["validation"]


def test_quiet_says_nothing_and_does_the_work(pancascade, tmp_path):
    assert pancascade("models")[1]
    assert pancascade("models", "-q") == (0, "", "")


def test_quiet_still_tells_an_error(pancascade, tmp_path):
    code, out, err = pancascade("cohort", tmp_path / "missing", "-q")
    assert (code, out) == (2, "")
    assert err.startswith("Error: ")


def test_a_log_file_holds_what_was_printed_with_times_and_is_appended_to(pancascade, tmp_path):
    log = tmp_path / "log.txt"
    _, printed, _ = pancascade("models", "--log-file", log)
    assert pancascade("models", "-q", "--log-file", log)[:2] == (0, "")
    lines = log.read_text().splitlines()
    assert lines[0] == HEADER
    assert [line.split(" INFO ")[1] for line in lines[1:]].count("models: ended") == 2
    for line in printed.splitlines():
        assert sum(logged.endswith(line.rstrip()) for logged in lines) >= 2


def test_a_log_file_holds_the_error_without_folders(pancascade, tmp_path):
    log = tmp_path / "log.txt"
    _, _, err = pancascade("cohort", tmp_path / "Mrs_Smith" / "missing", "--log-file", log)
    assert err.removeprefix("Error: ").strip() in log.read_text()
    assert "Smith" not in log.read_text()


def test_a_file_that_is_no_log_is_never_appended_to(pancascade, tmp_path):
    scan = tmp_path / "scan.nii"
    scan.write_bytes(b"voxels")
    code, _, err = pancascade("models", "--log-file", scan)
    assert (code, scan.read_bytes()) == (2, b"voxels")
    assert err == "Error: --log-file scan.nii: exists and is no log. Choose another name.\n"
    assert pancascade("models", "--log-file", tmp_path / "no" / "log.txt")[0] == 2


@pytest.mark.parametrize(
    ("verbose", "reported"), [(0, ["warned"]), (1, ["warned", "step"]), (2, ["warned", "step", "detail"])]
)
def test_verbose_tells_steps_and_then_details_on_stderr(capsys, verbose, reported):
    logger, handler = logging.getLogger("pancascade.tests"), logging.StreamHandler()
    handler.setFormatter(NamesOnly())
    logging.getLogger().addHandler(handler)
    try:
        with spoken("cohort", verbose=verbose):
            logger.warning("warned")
            logger.info("step")
            logger.debug("detail")
        logger.info("after")
    finally:
        logging.getLogger().removeHandler(handler)
    assert capsys.readouterr().err.split() == reported


def test_nothing_is_coloured_when_it_is_piped(pancascade):
    for arguments in (("models",), ("models", "qiu2024-small"), ("reproduce", "--list"), ("data", "fetch")):
        assert "\x1b" not in pancascade(*arguments)[1]


def test_no_color_is_heeded_on_a_terminal(monkeypatch):
    from rich.console import Console

    monkeypatch.setenv("NO_COLOR", "1")
    assert Console(force_terminal=True).no_color


def test_an_empty_short_out_is_refused_by_its_name(pancascade):
    assert pancascade("cohort", "x", "-o", "")[2].startswith("Error: -o is empty.")
