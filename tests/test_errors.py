import copy

import pytest

from pancascade.errors import GeometryError, NotCTError, ScanError, UnreadableError


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
