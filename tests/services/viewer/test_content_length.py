import pytest

from pancascade.services.viewer.content_length import announced_bytes


@pytest.mark.parametrize(("said", "size"), [("12", 12), ("9" * 5000, None), ("²", None), ("-1", None), (None, None)])
def test_a_length_that_cannot_be_true_is_none(said, size):
    assert announced_bytes(said) == size
