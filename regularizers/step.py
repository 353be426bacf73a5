"""Where a training step stands."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor, nn

from regularizer_collection.functional.pixels import PixelSpace
from regularizer_collection.functional.seeding import derive_seed


@dataclass(frozen=True)
class Step:
    """Where a training step stands, and what a regularizer may use in it.

    Attributes:
        backbone: Network from images to logits, in training mode.
        num_classes: Number of classes.
        index: Number of the batch in its epoch, from 0.
        epoch: Number of the epoch, from 0.
        global_step: Optimizer steps since the training began.
        seed: Seed of all random numbers.
        rank: Number of this process.
        world_size: Number of processes, which share the global batch.
        global_size: Samples of the global batch; None where all processes have as many.
        pixels: Pixel values behind the normalised images; None where the data does not tell.
        penalty_warmup_steps: Optimizer steps in which the weight of a penalty rises from 0, for
            penalties that set none of their own.
        twin: How many regularizers of the same class stand before the one that is called; their
            random numbers are others.
        dropout_state: Random state in which the pass that gave the logits began, for
            :func:`second_pass.repeated`; None outside :meth:`Regularizer.penalty`.
    """

    backbone: nn.Module
    num_classes: int
    index: int = 0
    epoch: int = 0
    global_step: int = 0
    seed: int = 0
    rank: int = 0
    world_size: int = 1
    global_size: int | None = None
    pixels: PixelSpace | None = None
    penalty_warmup_steps: int = 0
    twin: int = 0
    dropout_state: Tensor | None = None

    def generator(
        self, stream: str, device: torch.device | str = "cpu", shared: bool = False
    ) -> torch.Generator:
        """Makes a generator whose numbers depend on this step alone, so a resumed run repeats them.

        Args:
            stream: What the numbers are for, such as "projections".
            device: Where the numbers are drawn.
            shared: Whether all processes draw the same; otherwise each draws its own.
        """
        stream = f"{stream} {self.twin + 1}" if self.twin else stream
        keys = (self.seed, self.epoch, self.index)
        seed = derive_seed(stream, *keys) if shared else derive_seed(stream, *keys, self.rank)
        return torch.Generator(device).manual_seed(seed)

    def draw(
        self, stream: str, like: Tensor, distribution: Callable[..., Tensor] = torch.randn
    ) -> Tensor:
        """Draws numbers shaped like this process's rows: its share of the global batch's.

        Any number of processes draws the same for the same images.

        Args:
            stream: What the numbers are for, see :meth:`generator`.
            like: Rows whose shape, type and device the numbers have.
            distribution: ``torch.randn`` or ``torch.rand``.
        """
        shape = (self.global_rows(len(like)), *like.shape[1:])
        generator = self.generator(stream, like.device, shared=True)
        return self.share(
            distribution(shape, generator=generator, dtype=like.dtype, device=like.device)
        )

    def global_rows(self, rows: int) -> int:
        """Returns the rows of all processes together, of which this one has some."""
        return self.global_size or rows * self.world_size

    def weight(self, rows: int) -> float:
        """Returns how much a mean over this process's rows counts in the mean over processes."""
        return rows * self.world_size / self.global_rows(rows)

    def share(self, of_global_batch: Tensor) -> Tensor:
        """Returns this process's rows of what was drawn for the global batch [rows, ...]."""
        return of_global_batch[self.rank :: self.world_size]

    def gather(self, rows: Tensor) -> Tensor:
        """Returns the rows [rows, ...] of all processes in the order of the global batch.

        Gradients do not pass. It is the inverse of :meth:`share`.
        """
        if self.world_size == 1:
            return rows
        count = torch.tensor(len(rows), device=rows.device)
        counts = [torch.empty_like(count) for _ in range(self.world_size)]
        dist.all_gather(counts, count)
        longest = int(torch.stack(counts).max())  # the last global batch need not divide evenly
        padded = rows.new_zeros(longest, *rows.shape[1:])
        padded[: len(rows)] = rows
        shares = [torch.empty_like(padded) for _ in range(self.world_size)]
        dist.all_gather(shares, padded)
        total = int(torch.stack(counts).sum())
        return torch.stack(shares, 1).flatten(0, 1)[:total]

    def probabilities(self, targets: Tensor) -> Tensor:
        """Returns class probabilities [batch, classes] of labels [batch] or of probabilities."""
        if targets.is_floating_point():
            return targets
        return F.one_hot(targets, self.num_classes).float()

    def pixel_space(self, user: str) -> PixelSpace:
        """Returns the pixel values behind the images.

        Args:
            user: Name of what needs them, for the message.

        Raises:
            ValueError: If they are not known.
        """
        if self.pixels is None:
            raise ValueError(
                f"{user} works on pixels, and the data does not tell how images are normalised; "
                "give a data module with mean and std, or in a loop of your own "
                "Step(..., pixels=PixelSpace(mean, std))"
            )
        return self.pixels
