"""What all HTML pages share: one file each, that loads nothing; templates, styles and scripts are in ``templates``."""

from jinja2 import Environment, PackageLoader, StrictUndefined


def page_environment() -> Environment:
    """Templates that escape all that comes in, and refuse a name that nobody gave."""
    return Environment(
        loader=PackageLoader("pancascade.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
