"""Accept options under their names of earlier versions, so that old command lines still work."""

from collections.abc import Mapping, Sequence

EARLIER: Mapping[str, Mapping[str, str]] = {
    "segment": {"--engine": "--backend"},
    "serve": {"--engine": "--backend"},
    "batch": {"--networks": "--backend"},
    "dicom-node": {"--networks": "--backend"},
}
"""By verb: the name in an earlier version, and today's. No help shows the earlier one."""


def in_todays_spelling(arguments: Sequence[str]) -> list[str]:
    """Return a command line with today's names of options.

    Args:
        arguments: Arguments of the program, the verb first.
    """
    verb = next((word for word in arguments if not word.startswith("-")), "")
    names = EARLIER.get(verb, {})
    spelled = []
    for word in arguments:
        name, equals, value = word.partition("=")
        spelled.append(names.get(name, name) + equals + value)
    return spelled
