"""Cases of seed 0 that break the rule today, and why; each must fail until it is mended, and then leaves this list."""

LONG = "the sentence is longer than 200 characters"

KNOWN_FAILURES: dict[str, str] = {}
