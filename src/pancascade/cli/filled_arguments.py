"""No option and no argument is empty: a path of no letters would mean the working directory."""

from itertools import pairwise
from typing import Any

import typer.core

from pancascade.cli.earlier_spellings import in_todays_spelling
from pancascade.errors import DataError


class FilledArguments(typer.core.TyperGroup):
    """The verbs, refusing what is empty before any of them sees it.

    ``--out "$RESULTS"`` with no such variable set is ``--out ""``, which Python takes for the working directory.
    """

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Split the command line as its base class does.

        Raises:
            DataError: A part of it is empty.
        """
        if ctx.resilient_parsing:  # the shell completes what is not finished yet
            return super().parse_args(ctx, in_todays_spelling(args))
        for before, part in pairwise(["", *args]):
            name, equals, value = part.partition("=")
            if not part.strip():
                what = before if before.startswith("-") else "An argument"
                raise DataError(f"{what} is empty. Give it a value; is a variable of your shell not set?")
            if name.startswith("--") and equals and not value.strip():
                raise DataError(f"{name} is empty. Give it a value; is a variable of your shell not set?")
        return super().parse_args(ctx, in_todays_spelling(args))
