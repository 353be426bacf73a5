"""What all variants share: backbone, loss, metrics, optimizer and schedule."""

import copy
from functools import partial
from typing import Any, Literal

import torch
import torch.nn.functional as F
from pytorch_lightning import LightningModule
from pytorch_lightning.cli import LRSchedulerCallable, OptimizerCallable, ReduceLROnPlateau
from torch import Tensor, nn
from torch.optim import SGD, Optimizer
from torchmetrics import MeanMetric
from torchmetrics.classification import MulticlassAccuracy

from regularizer_collection.functional.seeding import derive_seed
from regularizer_collection.lightning_modules.fractional_step_lr import FractionalStepLR
from regularizer_collection.lightning_modules.resnet18 import ResNet18

Batch = tuple[Tensor, Tensor]


class Classifier(LightningModule):
    """Trains a backbone with cross-entropy; a subclass adds its regularizer in :meth:`penalty`.

    Before each training batch the random state is set from (seed, epoch, batch, rank), so a resumed
    run drops the same features as one that was never interrupted.

    Args:
        backbone: Network from images [batch, 3, height, width] to logits [batch, classes]; the
            default is :class:`ResNet18` with ``num_classes`` logits.
        num_classes: Number of classes.
        optimizer: Builds the optimizer from the parameters.
        lr_scheduler: Builds the schedule from the optimizer.
        lr_interval: Steps the schedule after every optimizer "step" or after every "epoch".
        seed: Seed of dropout and random projections.
    """

    def __init__(
        self,
        backbone: nn.Module | None = None,
        num_classes: int = 100,
        optimizer: OptimizerCallable = partial(SGD, lr=0.1, momentum=0.9),
        lr_scheduler: LRSchedulerCallable = FractionalStepLR,
        lr_interval: Literal["step", "epoch"] = "step",
        seed: int = 0,
    ) -> None:
        super().__init__()
        self.save_hyperparameters(ignore=["backbone", "optimizer", "lr_scheduler"])
        self.backbone = backbone if backbone is not None else ResNet18(num_classes)
        self.num_classes = num_classes
        self.build_optimizer = optimizer
        self.build_lr_scheduler = lr_scheduler
        self.lr_interval = lr_interval
        self.seed = seed
        self.train_accuracy, self.val_accuracy, self.test_accuracy = (
            MulticlassAccuracy(num_classes, average="micro") for _ in range(3)
        )
        self.val_loss, self.test_loss = (MeanMetric(nan_strategy="disable") for _ in range(2))

    def forward(self, images: Tensor) -> Tensor:
        """Maps normalised images [batch, 3, height, width] to logits [batch, classes]."""
        return self.backbone(images)

    def for_inference(self) -> nn.Module:
        """Returns a copy of the backbone in eval mode, its batch normalisation folded if it can."""
        folded = getattr(self.backbone, "folded", None)
        return folded() if callable(folded) else copy.deepcopy(self.backbone).eval()

    def penalty(self, logits: Tensor, images: Tensor, batch_idx: int) -> Tensor | None:
        """Returns the regularizer's term of the loss, a scalar, or None where there is none."""
        return None

    def on_train_batch_start(self, batch: Batch, batch_idx: int) -> None:
        """Sets the random state of this batch."""
        seed = derive_seed("dropout", self.seed, self.current_epoch, batch_idx, self.global_rank)
        if self.device.type == "cpu":
            # torch.manual_seed also records a stack trace for every device that is not there.
            torch.default_generator.manual_seed(seed)
        else:
            torch.manual_seed(seed)

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Returns cross-entropy plus penalty, both logged under ``train/``."""
        images, labels = batch
        logits = self(images)
        cross_entropy = F.cross_entropy(logits, labels)
        penalty = self.penalty(logits, images, batch_idx)
        loss = cross_entropy if penalty is None else cross_entropy + penalty
        self.train_accuracy.update(logits.detach(), labels)
        self.log("train/loss", loss, prog_bar=True)
        self.log("train/cross_entropy", cross_entropy)
        self.log("lr", self.trainer.optimizers[0].param_groups[0]["lr"])
        return loss

    def on_train_epoch_end(self) -> None:
        """Logs the accuracy over the epoch's training batches."""
        self.log("train/accuracy", self.train_accuracy, prog_bar=True)

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Logs accuracy and loss of held-out images, or the curve on test images if none are."""
        prefix = getattr(getattr(self.trainer, "datamodule", None), "validation_name", "val")
        self._evaluate(batch, prefix, self.val_accuracy, self.val_loss)

    def test_step(self, batch: Batch, batch_idx: int) -> None:
        """Logs accuracy and loss of the test images."""
        self._evaluate(batch, "test", self.test_accuracy, self.test_loss)

    def predict_step(self, batch: Batch | Tensor, batch_idx: int) -> Tensor:
        """Returns the class probabilities [batch, classes]."""
        images = batch if isinstance(batch, Tensor) else batch[0]
        return self(images).softmax(1)

    def _evaluate(
        self, batch: Batch, prefix: str, accuracy: MulticlassAccuracy, loss: MeanMetric
    ) -> None:
        images, labels = batch
        logits = self(images)
        accuracy(logits, labels)
        loss(F.cross_entropy(logits, labels, reduction="none"))
        self.log(f"{prefix}/accuracy", accuracy, prog_bar=True)
        self.log(f"{prefix}/loss", loss, prog_bar=True)

    def configure_optimizers(self) -> Any:
        """Builds optimizer and schedule from the config."""
        optimizer = self._build_optimizer()
        scheduler = self.build_lr_scheduler(optimizer)
        if isinstance(scheduler, FractionalStepLR):
            scheduler.set_total_steps(self._total_steps())
        entry: dict[str, Any] = {"scheduler": scheduler, "interval": self.lr_interval}
        if isinstance(scheduler, ReduceLROnPlateau):
            entry["monitor"] = scheduler.monitor
        return {"optimizer": optimizer, "lr_scheduler": entry}

    def _build_optimizer(self) -> Optimizer:
        return self.build_optimizer(self.parameters())

    def _total_steps(self) -> int:
        steps = self.trainer.estimated_stepping_batches
        if steps == float("inf"):
            raise ValueError("the run has no end; give trainer.max_epochs or trainer.max_steps")
        return int(steps)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Notes which class the weights belong to."""
        checkpoint["variant_class"] = type(self).__name__

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Refuses the weights of another variant.

        Raises:
            ValueError: If the checkpoint was written by another class.
        """
        found = checkpoint.get("variant_class")
        if found != type(self).__name__:
            raise ValueError(
                f"the checkpoint holds {found or 'no variant of this project'}, the config asks "
                f"for {type(self).__name__}; give the config that trained it"
            )
