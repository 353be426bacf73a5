"""Batches by index from images that are in memory."""

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor

from functional.seeding import derive_seed


class BatchLoader:
    """Yields (images, labels) batches, the share of one rank.

    All ranks cut the same order into global batches of ``batch_size * world_size`` and take every
    ``world_size``-th sample of each, so together they see what one process would see, every sample
    once. Batches differ in size by at most one sample: no small last batch.

    Args:
        images: Images [samples, height, width, 3], uint8.
        labels: Classes [samples], int64.
        batch_size: Samples for each rank and batch.
        shuffle_seed: Shuffles anew each epoch, from (seed, epoch); None keeps the order.
        current_epoch: Tells the epoch whose order to take.
        rank: Index of this process.
        world_size: Number of processes.
    """

    def __init__(
        self,
        images: Tensor,
        labels: Tensor,
        batch_size: int,
        shuffle_seed: int | None = None,
        current_epoch: Callable[[], int] = lambda: 0,
        rank: int = 0,
        world_size: int = 1,
    ) -> None:
        self.images = images
        self.labels = labels
        self.shuffle_seed = shuffle_seed
        self.current_epoch = current_epoch
        self.rank = rank
        self.world_size = world_size
        self.num_batches = max(1, -(-len(labels) // (batch_size * world_size)))
        self.next_batch = 0

    def __len__(self) -> int:
        """Number of batches in an epoch."""
        return self.num_batches

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Yields the batches that are left of the epoch."""
        batches = self._order().tensor_split(self.num_batches)
        first, self.next_batch = self.next_batch, 0
        for position in range(first, self.num_batches):
            self.next_batch = position + 1
            index = batches[position][self.rank :: self.world_size]
            yield self.images[index], self.labels[index]
        self.next_batch = 0

    def _order(self) -> Tensor:
        if self.shuffle_seed is None:
            return torch.arange(len(self.labels))
        generator = torch.Generator().manual_seed(derive_seed(self.shuffle_seed, self.current_epoch()))
        return torch.randperm(len(self.labels), generator=generator)

    def state_dict(self) -> dict[str, Any]:
        """Returns the position within the epoch."""
        return {"next_batch": self.next_batch % self.num_batches}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continues from a position within the epoch."""
        self.next_batch = state_dict["next_batch"]
