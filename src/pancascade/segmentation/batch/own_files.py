"""Names of the files of a batch beside the folders of its cases; no case can have such a name."""

LEDGER = "ledger.jsonl"
OPTIONS = "batch.json"
PAGE, TABLE = "cohort.html", "cohort.csv"

OWN_FILES = frozenset({LEDGER, OPTIONS, PAGE, TABLE})
