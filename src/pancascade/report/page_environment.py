"""The environment of all HTML pages: single files that load nothing; ``templates`` holds their parts."""

from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from pancascade.files.atomic import written_whole


def page_environment() -> Environment:
    """Return the templates' environment; it escapes all input and refuses undefined names."""
    return Environment(
        loader=PackageLoader("pancascade.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def write_page(path: Path, template: str, context: dict[str, Any], *, environment: Environment | None = None) -> None:
    """Render a template to a file, whole or not at all.

    Args:
        path: HTML file to write.
        template: Name of the template.
        context: Values for the template; all are escaped.
        environment: Of a page with filters of its own; None takes `report_environment`.

    Raises:
        OutputError: The path cannot be written.
    """
    page = (environment or report_environment()).get_template(template).render(context)
    with written_whole(path) as temporary:
        # File names need not be UTF-8; characters that cannot be written become question marks.
        temporary.write_text(page, encoding="utf-8", errors="replace")


@cache
def report_environment() -> Environment:
    """Return the environment of the pages about scans, with the filter ``number``; each template is compiled once."""
    environment = page_environment()
    environment.filters["number"] = spell_number
    return environment


def spell_number(value: float | int | None, digits: int = 1) -> str:
    """Return a number with this many decimals and a true minus sign; a dash for None."""
    if value is None:
        return "–"
    text = f"{value:.{digits}f}"
    negative = text.startswith("-") and any(digit in "123456789" for digit in text)
    return ("−" if negative else "") + text.lstrip("-")


def spell_time(created: str) -> str:
    """Return a time in UTC to the minute; text that is no time is returned unchanged."""
    try:
        moment = datetime.fromisoformat(created)
    except ValueError:
        return created
    moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    return f"{moment:%Y-%m-%d %H:%M} UTC"
