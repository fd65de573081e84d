"""A logger that says less for a while."""

import logging

import pytest

from pancascade.messages.quiet_log import quiet_log


def test_warnings_are_not_told_inside_the_block_and_errors_are(caplog: pytest.LogCaptureFixture) -> None:
    logger = logging.getLogger("pancascade.some_part")
    with quiet_log("pancascade"):
        logger.warning("a warning")
        logger.error("an error")
    logger.warning("a warning after it")
    assert caplog.messages == ["an error", "a warning after it"]


def test_the_level_is_put_back_after_an_exception() -> None:
    logger = logging.getLogger("pancascade.other_part")
    logger.setLevel(logging.INFO)
    with pytest.raises(KeyError), quiet_log(logger.name, level=logging.CRITICAL + 1):
        raise KeyError
    assert logger.level == logging.INFO
