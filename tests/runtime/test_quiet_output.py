import logging
import warnings

import pytest

from regularizer_collection.runtime.quiet_output import quiet_output

LOGGER = logging.getLogger("pytorch_lightning.utilities.rank_zero")


def test_advertisements_stay_out_and_all_else_is_said(caplog):
    with caplog.at_level(logging.INFO, LOGGER.name), quiet_output():
        LOGGER.info("💡 Tip: buy this")
        LOGGER.info("GPU available: True (cuda), used: False")
        LOGGER.info("test/accuracy: 0.5")
    assert [r.getMessage() for r in caplog.records] == [
        "GPU available: True (cuda), used: False",
        "test/accuracy: 0.5",
    ]


def test_afterwards_everything_is_said_again(caplog):
    with quiet_output():
        pass
    with caplog.at_level(logging.INFO, LOGGER.name):
        LOGGER.info("💡 Tip: buy this")
    assert "buy this" in caplog.text


def test_a_warning_that_one_can_act_on_is_seen():
    with quiet_output(), pytest.warns(UserWarning, match="do this"):
        warnings.warn("do this", stacklevel=1)
