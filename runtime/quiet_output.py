"""What third parties print and nobody can act on stays out of a run's output."""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

_MESSAGES = (
    "💡 Tip",  # an advertisement
    "GPU available: False",  # what runs where there is none is said by the run's own line
    "TPU available: False",
    "Loading `train_dataloader` to estimate",  # which takes no time: the data is in memory
    "`weights_only` was not set",  # our checkpoints are read without running code whatever it says
)
_WARNINGS = (
    # Lightning asks torch's pytree in a way newer torch deprecates:
    # https://github.com/Lightning-AI/pytorch-lightning/issues/21326
    (r"`isinstance\(treespec, LeafSpec\)` is deprecated", FutureWarning),
)
_LOGGERS = ("pytorch_lightning.utilities.rank_zero", "lightning.pytorch.utilities.rank_zero")


def _is_wanted(record: logging.LogRecord) -> bool:
    return not record.getMessage().startswith(_MESSAGES)


@contextmanager
def quiet_output() -> Iterator[None]:
    """Leaves out the messages and warnings above."""
    loggers = [logging.getLogger(name) for name in _LOGGERS]
    for logger in loggers:
        logger.addFilter(_is_wanted)
    try:
        with warnings.catch_warnings():
            for message, category in _WARNINGS:
                warnings.filterwarnings("ignore", message, category)
            yield
    finally:
        for logger in loggers:
            logger.removeFilter(_is_wanted)
