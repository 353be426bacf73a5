"""Predictions in files."""

from pathlib import Path
from typing import Any

import pandas as pd
import torch
from pytorch_lightning import Callback, LightningModule, Trainer
from torch import Tensor

from regularizer_collection.datamodules.batch_loader import BatchLoader


class PredictionWriter(Callback):
    """Leaves the class probabilities of ``predict`` in ``predictions.csv`` and ``predictions.pt``.

    Both hold the position of each image in its split; ``predictions.csv`` has a row for each image
    with the predicted class and a column for each class, ``predictions.pt`` the tensors ``index``
    [images] and ``probabilities`` [images, classes]. They lie in the trainer's
    ``default_root_dir``.
    """

    def __init__(self) -> None:
        self._share: list[tuple[Tensor, Tensor]] = []

    def on_predict_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Forgets what an earlier prediction left."""
        self._share = []

    def on_predict_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Keeps the probabilities of a batch with the positions of its images."""
        loader = trainer.predict_dataloaders
        if isinstance(loader, BatchLoader):
            index = loader.shares()[batch_idx]
        else:
            before = sum(len(earlier) for earlier, _ in self._share)
            # As Lightning shares the images of any other loader out.
            number = torch.arange(before, before + len(outputs))
            index = trainer.global_rank + trainer.world_size * number
        self._share.append((index, outputs.float().cpu()))

    def on_predict_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Writes both files, in the order of the images."""
        share = [torch.cat(part) for part in zip(*self._share, strict=True)]
        shares: list[Any] = [share]
        if trainer.world_size > 1:
            shares = [None] * trainer.world_size
            torch.distributed.all_gather_object(shares, share)
        if not trainer.is_global_zero:
            return
        index = torch.cat([part[0] for part in shares])
        probabilities = torch.cat([part[1] for part in shares])[index.argsort()]
        index = index.sort().values
        folder = Path(trainer.default_root_dir)
        folder.mkdir(parents=True, exist_ok=True)
        torch.save({"index": index, "probabilities": probabilities}, folder / "predictions.pt")
        columns = [f"class_{number}" for number in range(probabilities.shape[1])]
        table = pd.DataFrame(probabilities.numpy(), columns=columns)
        table.insert(0, "predicted", probabilities.argmax(1).numpy())
        table.insert(0, "index", index.numpy())
        table.to_csv(folder / "predictions.csv", index=False)
        print(f"Predictions: {folder / 'predictions.csv'}")
