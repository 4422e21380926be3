"""The project's own lines are printed whatever the application does to logging."""

from __future__ import annotations

import logging
import logging.config
from typing import TYPE_CHECKING

import pytest

from tracebaton_configurator.logs import own

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(autouse=True)
def _fresh() -> Iterator[None]:
    yield
    logger = logging.getLogger(own.NAME)
    logger.handlers.clear()
    logger.propagate = True
    logger.setLevel(logging.NOTSET)
    logger.disabled = False


def test_a_line_is_printed_before_logging_is_set_up(capsys: pytest.CaptureFixture[str]) -> None:
    own.info("on: %s", "yes")
    assert capsys.readouterr().err == "INFO: tracebaton: on: yes\n"


def test_it_survives_disable_existing_loggers(capsys: pytest.CaptureFixture[str]) -> None:
    own.info("one")
    logging.config.dictConfig({"version": 1, "disable_existing_loggers": True})
    own.error("two")
    assert capsys.readouterr().err.splitlines() == ["INFO: tracebaton: one", "ERROR: tracebaton: two"]


def test_a_level_that_the_application_set_is_kept(capsys: pytest.CaptureFixture[str]) -> None:
    logging.getLogger(own.NAME).setLevel(logging.ERROR)
    own.warning("quiet")
    assert capsys.readouterr().err == ""
