"""What a training step with each regularizer costs beside one without."""

from collections.abc import Iterator
from functools import partial

import torch

from benchmarks.race import Work, race
from benchmarks.table import Row
from benchmarks.training import BATCH_SIZE
from regularizer_collection import regularizers
from regularizer_collection.backbones import ResNet18
from regularizer_collection.datamodules import CIFAR100DataModule
from regularizer_collection.regularizers import (
    Penalty,
    PixelSpace,
    Regularizer,
    Step,
    regularized_loss,
)

REGULARIZERS = {
    name: cls
    for name in regularizers.__all__
    if isinstance(cls := getattr(regularizers, name), type)
    and issubclass(cls, Regularizer)
    and cls not in (Regularizer, Penalty)
}


MIXED_BATCH = 0
"""A batch that CutMix does not leave alone."""


def regularized_step(name: str | None) -> Work:
    """Builds a step with one regularizer at its defaults, or with none."""
    network = ResNet18()
    chosen = [REGULARIZERS[name]()] if name else []
    images = torch.randn(BATCH_SIZE, 3, 32, 32).contiguous(memory_format=torch.channels_last)
    labels = torch.randint(100, (BATCH_SIZE,))
    optimizer = torch.optim.SGD(network.parameters(), lr=1e-4, momentum=0.9)
    pixels = PixelSpace(CIFAR100DataModule.mean, CIFAR100DataModule.std)

    def work() -> None:
        step = Step(network, 100, index=MIXED_BATCH, pixels=pixels)
        loss = regularized_loss(network, chosen, images, labels, step).total
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    return work


def rows(quick: bool) -> Iterator[Row]:
    """Times every regularizer in turn with a plain step."""
    for name in REGULARIZERS:
        works = {"plain": partial(regularized_step, None), name: partial(regularized_step, name)}
        timed = race(works, {}, repeats=3 if quick else 9, warm_ups=1 if quick else 2)
        plain, seconds = timed["plain"].seconds, timed[name].seconds
        yield Row(
            f"step with {name}", seconds, "plain step", plain, remark=f"{seconds / plain:.2f} steps"
        )
