"""Refusals of options in plain words."""

import re
from typing import Any

import typer
from typer.core import TyperCommand


class PlainCommand(TyperCommand):
    """Command that refuses an option without the phrases of pydantic, which converts the values."""

    def make_context(self, *arguments: Any, **options: Any) -> Any:
        """Return the context of a call.

        Raises:
            typer.BadParameter: A value cannot be used; its message is in plain words.
        """
        try:
            return super().make_context(*arguments, **options)
        except typer.BadParameter as error:
            error.message = plain(error.message)
            raise


def plain(message: str) -> str:
    """Return a message of pydantic without what only programmers understand."""
    return re.sub(r"^Value error, |^Input (?=should be)|, unable to parse .*$", "", message)
