"""``refusal.json``."""

import json
from datetime import datetime
from pathlib import Path

import pytest

from pancascade.errors import NotCTError, OutputError
from pancascade.results.refusal import write_refusal


def test_a_refusal_tells_scan_code_sentence_and_time(tmp_path):
    write_refusal(NotCTError("scan.nii.gz: looks like MR."), Path("a/scan.nii.gz"), tmp_path)
    refusal = json.loads((tmp_path / "refusal.json").read_text())
    assert datetime.fromisoformat(refusal.pop("created")).tzinfo is not None
    assert refusal == {"scan": "scan.nii.gz", "code": "not_ct", "sentence": "scan.nii.gz: looks like MR."}
    assert [path.name for path in tmp_path.iterdir()] == ["refusal.json"]


def test_the_last_refusal_stays_and_results_too(tmp_path):
    (tmp_path / "result.json").write_text("former")
    write_refusal(NotCTError("a"), Path("scan"), tmp_path)
    write_refusal(NotCTError("b", code="looks_like_mr"), Path("scan"), tmp_path)
    assert json.loads((tmp_path / "refusal.json").read_text())["code"] == "looks_like_mr"
    assert (tmp_path / "result.json").read_text() == "former"


def test_a_name_that_is_not_utf_8_can_be_told(tmp_path):
    scan = Path(b"caf\xe9.nii".decode("utf-8", "surrogateescape"))
    write_refusal(NotCTError(f"{scan}: looks like MR."), scan, tmp_path)
    assert "caf" in json.loads((tmp_path / "refusal.json").read_text())["scan"]


def test_a_folder_that_is_a_file_is_refused(tmp_path):
    (tmp_path / "out").write_text("mine")
    with pytest.raises(OutputError, match="cannot be written"):
        write_refusal(NotCTError("a"), Path("scan"), tmp_path / "out")
