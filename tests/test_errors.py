import copy

import pytest

from pancascade.errors import DataError, GeometryError, NotCTError, ScanError, UnreadableError, with_first_reason


@pytest.mark.parametrize(
    ("kind", "usual"),
    [
        (ScanError, "scan_unusable"),
        (UnreadableError, "unreadable"),
        (GeometryError, "geometry"),
        (NotCTError, "not_ct"),
    ],
)
def test_a_refusal_has_a_code_of_its_kind_or_its_own(kind, usual):
    assert (str(kind("x is wrong.")), kind("x is wrong.").code) == ("x is wrong.", usual)
    assert kind("x is wrong.", code="finer").code == "finer"
    assert kind("x is wrong.").code == usual


def test_a_code_survives_the_way_from_another_process():
    # What copy does is what pickle does.
    sent = copy.copy(NotCTError("x is no CT.", code="looks_like_mr"))
    assert (type(sent), str(sent), sent.code) == (NotCTError, "x is no CT.", "looks_like_mr")


def test_a_name_of_several_lines_does_not_break_the_sentence():
    assert str(DataError("a\nb\r\nc: there is no such file.")) == "a b c: there is no such file."


def test_the_first_reason_stands_alone_where_both_are_no_sentence_any_more():
    reported = "/data/p/scans: nothing to attribute."
    assert (
        with_first_reason(reported, "a.nii: empty.") == "scans: nothing to attribute. The first reason: a.nii: empty."
    )
    long = f"a.nii: {'x' * 170}."
    assert with_first_reason(reported, long) == long
