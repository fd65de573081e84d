"""Options under the names of earlier versions: command lines that were written for those go on working."""

from collections.abc import Mapping, Sequence

EARLIER: Mapping[str, Mapping[str, str]] = {
    "segment": {"--engine": "--backend"},
    "serve": {"--engine": "--backend"},
    "batch": {"--networks": "--backend"},
    "dicom-node": {"--networks": "--backend"},
}
"""By verb: name of an earlier version, and today's. No help shows the earlier one."""


def in_todays_spelling(arguments: Sequence[str]) -> list[str]:
    """A command line with today's names of options.

    Args:
        arguments: Of the program, the verb first.
    """
    verb = next((word for word in arguments if not word.startswith("-")), "")
    names = EARLIER.get(verb, {})
    spelled = []
    for word in arguments:
        name, equals, value = word.partition("=")
        spelled.append(names.get(name, name) + equals + value)
    return spelled
