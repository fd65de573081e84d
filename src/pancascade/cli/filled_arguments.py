"""Refuse empty options and arguments: an empty path would mean the working directory."""

from itertools import pairwise
from typing import Any

import typer.core

from pancascade.cli.earlier_spellings import in_todays_spelling
from pancascade.errors import DataError


class FilledArguments(typer.core.TyperGroup):
    """The verbs, with a check for empty arguments before any verb runs.

    With an unset variable ``--out "$RESULTS"`` becomes ``--out ""``, which Python takes for the working directory.
    """

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Split the command line as the base class does.

        Raises:
            DataError: A part of it is empty.
        """
        if ctx.resilient_parsing:  # the shell completes an unfinished line
            return super().parse_args(ctx, in_todays_spelling(args))
        for before, part in pairwise(["", *args]):
            name, equals, value = part.partition("=")
            if not part.strip():
                what = before if before.startswith("-") else "An argument"
                raise DataError(f"{what} is empty. Give it a value, or set the variable of your shell.")
            if name.startswith("--") and equals and not value.strip():
                raise DataError(f"{name} is empty. Give it a value, or set the variable of your shell.")
        return super().parse_args(ctx, in_todays_spelling(args))
