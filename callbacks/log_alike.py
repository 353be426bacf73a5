"""Logging of what the first process has measured."""

import re
import warnings
from functools import cache

from pytorch_lightning import LightningModule
from torch import Tensor


def log_alike(pl_module: LightningModule, name: str, value: Tensor | float) -> None:
    """Logs the first process's value on all of them, so that each monitors the same.

    Args:
        pl_module: What logs.
        name: Name of the value.
        value: The value, which every process gives, if by statistics of its own.
    """
    if pl_module.trainer.world_size > 1:
        _leave_out_advice(name)
    pl_module.log(name, pl_module.trainer.strategy.broadcast(float(value)))


@cache  # every new filter makes Python repeat the warnings that it has shown
def _leave_out_advice(name: str) -> None:
    """Lightning would advise to average over processes, as it cannot know that all agree."""
    warnings.filterwarnings("ignore", f".*self.log\\({re.escape(repr(name))}, ..., sync_dist")
