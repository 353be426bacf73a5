"""Batches by index from images that are in memory."""

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor

from regularizer_collection.functional.seeding import derive_seed


class BatchLoader:
    """Yields (images, labels) batches, the share of one rank.

    All ranks cut the same order into global batches of ``batch_size`` and take every
    ``world_size``-th sample of each, so together they see what one process would see, every sample
    once. Batches differ in size by at most one sample: no small last batch.

    Args:
        images: Images [samples, height, width, channels], uint8.
        labels: Classes [samples], int64.
        batch_size: Samples of a batch over all ranks.
        shuffle_seed: Shuffles anew each epoch, from (seed, epoch); None keeps the order.
        position: Tells, when iteration starts, the epoch and the first batch of it to yield.
        rank: Index of this process.
        world_size: Number of processes.
    """

    def __init__(
        self,
        images: Tensor,
        labels: Tensor,
        batch_size: int,
        shuffle_seed: int | None = None,
        position: Callable[[], tuple[int, int]] = lambda: (0, 0),
        rank: int = 0,
        world_size: int = 1,
    ) -> None:
        self.images = images
        self.labels = labels
        self.shuffle_seed = shuffle_seed
        self.position = position
        self.rank = rank
        self.world_size = world_size
        self.num_batches = max(1, -(-len(labels) // batch_size))

    def __len__(self) -> int:
        """Number of batches in an epoch."""
        return self.num_batches

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Yields the batches that are left of the epoch."""
        epoch, first_batch = self.position()
        for index in self.shares(epoch)[first_batch:]:
            yield self.images[index], self.labels[index]

    def shares(self, epoch: int = 0) -> list[Tensor]:
        """Returns, for each batch, the positions [samples] of this rank's share of it."""
        batches = self._order(epoch).tensor_split(self.num_batches)
        return [batch[self.rank :: self.world_size] for batch in batches]

    def global_size(self, batch: int) -> int:
        """Returns the samples of a batch over all ranks."""
        smallest, larger = divmod(len(self.labels), self.num_batches)
        return smallest + (batch < larger)

    def _order(self, epoch: int) -> Tensor:
        if self.shuffle_seed is None:
            return torch.arange(len(self.labels))
        generator = torch.Generator().manual_seed(derive_seed("shuffle", self.shuffle_seed, epoch))
        return torch.randperm(len(self.labels), generator=generator)

    def state_dict(self) -> dict[str, Any]:
        """Returns nothing; Lightning warns of resuming in mid-epoch unless a loader has this."""
        return {}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restores nothing: the position is the trainer's."""
