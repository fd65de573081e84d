"""Exit codes shared by the verbs; a refused input ends with 2 (`pancascade.cli.app`)."""

INCOMPLETE = 1
"""All was written, but a part has no result or is not sound; the reason was printed."""
