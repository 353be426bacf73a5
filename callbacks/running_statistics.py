"""Running statistics of batch normalisation, made anew for weights that were moved."""

import copy
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any

import torch
from pytorch_lightning import LightningModule, Trainer
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.data import DataLoader

from regularizer_collection.datamodules.current_datamodule import current_datamodule
from regularizer_collection.datamodules.image_data_module import ImageDataModule
from regularizer_collection.functional.seeding import derive_seed
from regularizer_collection.regularizers.second_pass import eval_mode

NUM_BATCHES = 10


@torch.no_grad()
def reestimate_running_statistics(network: nn.Module, batches: Iterable[Tensor]) -> None:
    """Sets running means and variances to their averages over batches; all else stays as it is.

    Batch normalisation in eval mode, which somebody froze, stays too.

    Args:
        network: Network with batch normalisation; without any, no batch is asked for.
        batches: Normalised images [batch, channels, height, width].
    """
    norms = [
        module
        for module in network.modules()
        if isinstance(module, _BatchNorm) and module.track_running_stats and module.training
    ]
    if not norms:
        return
    kept = [(norm.momentum, norm.num_batches_tracked) for norm in norms]
    with eval_mode(network):  # so that dropout draws nothing
        for norm in norms:
            norm.train()
            norm.num_batches_tracked = torch.zeros((), dtype=torch.long)  # counts in place
        for number, images in enumerate(batches, start=1):
            for norm in norms:
                norm.momentum = 1 / number  # makes the moving average the mean of all so far
            network(images)
    for norm, (momentum, count) in zip(norms, kept, strict=True):
        norm.momentum, norm.num_batches_tracked = momentum, count


def training_batches(trainer: Trainer, pl_module: LightningModule, seed: int) -> Iterator[Tensor]:
    """Yields normalised images of ten training batches; of our data every process draws the same.

    The training itself draws nothing from them: neither its random state nor its place in the
    epoch moves.

    Args:
        trainer: Trainer in a fit.
        pl_module: What it trains.
        seed: Seed that draws the images.
    """
    data = current_datamodule(trainer)
    if isinstance(data, ImageDataModule):
        images, _ = data.images_and_labels("train")
        size = max(2, min(data.batch_size, len(images) // NUM_BATCHES))
        generator = torch.Generator().manual_seed(derive_seed("running statistics", seed))
        chosen = torch.randperm(len(images), generator=generator)[: size * NUM_BATCHES]
        for index in chosen.tensor_split(max(1, len(chosen) // size)):  # none of one image
            batch = data.normalize(images[index].to(pl_module.device))
            yield trainer.precision_plugin.convert_input(batch)
    else:
        loader: Any = trainer.train_dataloader
        if isinstance(loader, DataLoader):
            loader = copy.copy(loader)
            loader._iterator = None  # workers that persist have one, amid the epoch
        drawn_from = getattr(loader, "generator", None)
        state = drawn_from.get_state() if drawn_from is not None else None
        with torch.random.fork_rng():
            for batch in islice(iter(loader), NUM_BATCHES):
                batch = trainer.precision_plugin.convert_input(batch)
                yield images_of(pl_module._apply_batch_transfer_handler(batch))
        if drawn_from is not None:
            drawn_from.set_state(state)


def images_of(batch: Any) -> Tensor:
    """Returns the images of a training batch.

    Raises:
        ValueError: If it is neither images nor a tuple that begins with them.
    """
    images = batch[0] if isinstance(batch, list | tuple) and batch else batch
    if not isinstance(images, Tensor):
        raise ValueError(
            f"a training batch is a {type(batch).__name__}; to look at what batch normalisation "
            "makes of it, it must be images, or a tuple that begins with them"
        )
    return images
