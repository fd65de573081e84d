import pytest

from pancascade.messages.durations import spell_duration


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.2, "1 second"),
        (80, "80 seconds"),
        (100, "1.7 minutes"),
        (3000, "50 minutes"),
        (9000, "2.5 hours"),
        (2e6, "23 days"),
    ],
)
def test_durations_are_spelled_in_the_unit_that_fits(seconds, words):
    assert spell_duration(seconds) == words
