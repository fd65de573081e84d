"""Exit codes that verbs share; a refused input ends with 2 (`pancascade.cli.app`)."""

INCOMPLETE = 1
"""All was written, but something of it has no result, or is not as it should be; what and why was printed."""
