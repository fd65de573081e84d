"""docs/get-started.md names every key of ``result.json``, and no other."""

import re
from pathlib import Path

from pancascade.results.result import Result

PAGE = Path(__file__).parents[1] / "docs" / "get-started.md"


def test_the_table_of_the_result_has_a_row_for_every_key():
    table = PAGE.read_text(encoding="utf-8").split("`result.json`:\n", 1)[1].split("\n\n")[0]
    named = re.findall(r"(?m)^\| `(\w+)` \|", table)
    assert sorted(named) == sorted(Result.model_fields)
