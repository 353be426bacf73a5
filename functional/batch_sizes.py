"""Batches of few different sizes."""

from collections.abc import Callable

import torch.nn.functional as F
from torch import Tensor


def in_few_sizes(model: Callable[[Tensor], Tensor], multiple: int) -> Callable[[Tensor], Tensor]:
    """Makes a model that sees batches of a multiple of samples alone.

    On a CPU torch compiles kernels for every new batch size and keeps them, some MB each.

    Args:
        model: Maps samples [batch, ...] to outputs [batch, ...], each sample on its own.
        multiple: Number of samples to whose multiples batches are filled up, by zeros.
    """

    def filled(samples: Tensor) -> Tensor:
        missing = -len(samples) % multiple
        others = (0, 0) * (samples.ndim - 1)
        return model(F.pad(samples, (*others, 0, missing)))[: len(samples)]

    return filled
