"""Options and texts common to all verbs, added when a verb is registered: short options, verbosity, an example."""

import inspect
from collections.abc import Callable, Iterator
from copy import copy
from dataclasses import fields, is_dataclass
from functools import wraps
from pathlib import Path
from typing import Annotated, Any, get_args, get_origin, get_type_hints

import typer
from typer.models import OptionInfo

from pancascade.cli.choices import completer, find_choices
from pancascade.cli.option_faults import PlainCommand
from pancascade.cli.spoken import spoken

MOST_LETTERS = 45
"""Longest list of choices shown in place of a value; longer lists are only in the help text."""

QUIET, VERBOSE, LOG_FILE = "quiet", "verbose", "log_file"

_COMMON = {
    QUIET: (
        Annotated[bool, typer.Option("-q", "--quiet", help="Print neither progress nor results, only errors.")],
        False,
    ),
    VERBOSE: (
        Annotated[
            int,
            typer.Option(
                "-v", "--verbose", count=True, show_default=False, help="Print the steps; -vv prints details."
            ),
        ],
        0,
    ),
    LOG_FILE: (
        Annotated[
            Path | None,
            typer.Option("--log-file", help="Also append all output to this file, with times."),
        ],
        None,
    ),
}


def register(app: typer.Typer, verb: Callable[..., None], *, name: str, example: str) -> None:
    """Make a verb a command with the common options.

    Args:
        app: App that gets the command.
        verb: Function whose annotated parameters are arguments and options.
        name: Name of the command.
        example: One command line, shown at the end of its ``--help``.
    """
    app.command(name=name, cls=PlainCommand, epilog=f"\b\nExample: {example}")(mannered(verb, name=name))


def mannered(verb: Callable[..., None], *, name: str) -> Callable[..., None]:
    """Return a verb that also takes ``-o``, ``-q``, ``-v`` and ``--log-file``, and shows the choices of its options."""
    groups = _groups(verb)

    @wraps(verb)
    def run(**arguments: Any) -> None:
        said = {option: arguments.pop(option) for option in _COMMON}
        for parameter, group in groups.items():
            arguments[parameter] = group(**{field.name: arguments.pop(field.name) for field in fields(group)})
        with spoken(name, **said):
            verb(**arguments)

    parameters = [*_own(verb, name), *_common()]
    run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    run.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return run


def _groups(verb: Callable[..., None]) -> dict[str, Any]:
    """Return the parameters that are dataclasses of shared options."""
    return {name: kind for name, kind in get_type_hints(verb).items() if is_dataclass(kind)}


def _single(verb: Callable[..., None]) -> Iterator[tuple[inspect.Parameter, Any]]:
    """Yield every argument and option with its annotation, including those of shared classes."""
    hints, groups = get_type_hints(verb, include_extras=True), _groups(verb)
    for parameter in inspect.signature(verb).parameters.values():
        group = groups.get(parameter.name)
        if group is None:
            yield parameter, hints.get(parameter.name, parameter.annotation)
            continue
        inner = get_type_hints(group, include_extras=True)
        for field in fields(group):
            yield parameter.replace(name=field.name, default=field.default), inner[field.name]


def _own(verb: Callable[..., None], name: str) -> Iterator[inspect.Parameter]:
    for parameter, given in _single(verb):
        annotation = given
        if get_origin(given) is Annotated:
            kind, *marks = get_args(given)
            polite = [_polite(mark, name, parameter.name) for mark in marks]
            annotation = Annotated[(kind, *polite)]
        yield parameter.replace(annotation=annotation, kind=inspect.Parameter.KEYWORD_ONLY)


def _common() -> Iterator[inspect.Parameter]:
    for option, (annotation, default) in _COMMON.items():
        yield inspect.Parameter(option, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)


def _polite(mark: Any, verb: str, parameter: str) -> Any:
    """Return an option with the short name ``-o`` for ``--out``, and with its choices in place of the value."""
    if not isinstance(mark, OptionInfo):
        return mark
    first = () if mark.default is ... else (mark.default,)  # Annotated[..., Option("--name")] keeps its name here
    given = [str(name) for name in (*first, *(mark.param_decls or ()))]
    names = given or ["--" + parameter.rstrip("_").replace("_", "-")]
    choices = find_choices(verb, next((name for name in names if name.startswith("--")), ""))
    if names != ["--out"] and choices is None:
        return mark
    option = copy(mark)
    option.default, option.param_decls = ..., tuple(["-o", "--out"] if names == ["--out"] else names)
    if choices is not None:
        if not callable(choices) and len("|".join(choices)) <= MOST_LETTERS:
            option.metavar = f"<{'|'.join(choices)}>"
        option.autocompletion = completer(choices)
    return option
