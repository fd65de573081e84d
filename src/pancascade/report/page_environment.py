"""The environment of all HTML pages: single files that load nothing; ``templates`` holds their parts."""

from jinja2 import Environment, PackageLoader, StrictUndefined


def page_environment() -> Environment:
    """Return the templates' environment; it escapes all input and refuses undefined names."""
    return Environment(
        loader=PackageLoader("pancascade.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
