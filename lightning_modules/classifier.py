"""What all variants share: backbone, loss, metrics, optimizer and schedule."""

import inspect
import math
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import IO, Any, Literal, Self, cast
from weakref import WeakSet

import torch
import torch.distributed as dist
import torch.nn.functional as F
from lightning_fabric.utilities.cloud_io import _load as pl_load
from pytorch_lightning import Callback, LightningModule
from pytorch_lightning.callbacks import GradientAccumulationScheduler
from pytorch_lightning.cli import LRSchedulerCallable, OptimizerCallable, ReduceLROnPlateau
from pytorch_lightning.utilities import rank_zero_info, rank_zero_warn
from torch import Tensor, nn
from torch.optim import SGD, Optimizer
from torchmetrics import MeanMetric
from torchmetrics.classification import MulticlassAccuracy

from regularizer_collection.backbones import LeNet, ResNet18
from regularizer_collection.datamodules.batch_loader import BatchLoader
from regularizer_collection.datamodules.current_datamodule import current_datamodule
from regularizer_collection.functional.checks import check_at_least
from regularizer_collection.functional.pixels import PixelSpace
from regularizer_collection.functional.seeding import derive_seed
from regularizer_collection.lightning_modules.fractional_step_lr import FractionalStepLR
from regularizer_collection.regularizers import (
    Penalty,
    Regularizer,
    Step,
    Terms,
    name_regularizers,
    penalty_gradient_ratio,
    regularized_loss,
)
from regularizer_collection.regularizers.second_pass import eval_mode

Batch = tuple[Tensor, Tensor]
_WATCHED_STEPS = 50
_BACKBONES = (LeNet, ResNet18)
_BROUGHT: WeakSet[Callback] = WeakSet()
"""Callbacks of modules, which a trainer keeps when it goes on with another module."""


class Classifier(LightningModule):
    """Trains a backbone with cross-entropy and a list of regularizers.

    A subclass names a variant: it puts its own regularizer in front of the list.

    Before each training batch the random state is set from (seed, epoch, batch, rank), so a resumed
    run drops the same features as one that was never interrupted.

    Args:
        backbone: Network from images [batch, channels, height, width] to logits [batch, classes];
            the default is :class:`ResNet18` with ``num_classes`` logits.
        num_classes: Number of classes.
        regularizers: What changes the loss of a training step, in the order of the calls.
        penalty_warmup_steps: Optimizer steps in which the weight of every penalty rises linearly
            from 0.
        optimizer: Builds the optimizer from the parameters.
        lr_scheduler: Builds the schedule from the optimizer.
        lr_interval: Steps the schedule after every optimizer "step" or after every "epoch".
        seed: Seed of dropout and of all that regularizers draw: that of the run, or runs of other
            seeds drop the same features.

    Raises:
        ValueError: If an argument is out of range.
    """

    def __init__(
        self,
        backbone: nn.Module | None = None,
        num_classes: int = 100,
        regularizers: Sequence[Regularizer] = (),
        penalty_warmup_steps: int = 0,
        optimizer: OptimizerCallable = partial(SGD, lr=0.1, momentum=0.9),
        lr_scheduler: LRSchedulerCallable = FractionalStepLR,
        lr_interval: Literal["step", "epoch"] = "step",
        seed: int = 0,
    ) -> None:
        super().__init__()
        self.save_hyperparameters(ignore=["backbone", "regularizers", "optimizer", "lr_scheduler"])
        check_at_least("penalty_warmup_steps", penalty_warmup_steps, 0)
        self.backbone = backbone if backbone is not None else ResNet18(num_classes)
        self.num_classes = num_classes
        self.regularizers = nn.ModuleList(regularizers)
        self.penalty_warmup_steps = penalty_warmup_steps
        self.build_optimizer = optimizer
        self.build_lr_scheduler = lr_scheduler
        self.lr_interval = lr_interval
        self._fitted_scheduler: FractionalStepLR | None = None
        self._logged_rare: dict[str, int] = {}
        self.seed = seed
        self.train_accuracy, self.val_accuracy, self.test_accuracy = (
            MulticlassAccuracy(num_classes, average="micro") for _ in range(3)
        )
        self.val_loss, self.test_loss = (MeanMetric(nan_strategy="disable") for _ in range(2))

    def forward(self, images: Tensor) -> Tensor:
        """Maps normalised images [batch, channels, height, width] to logits [batch, classes]."""
        return self.backbone(images)

    @contextmanager
    def for_inference(self) -> Iterator[nn.Module]:
        """Lends the backbone in eval mode, its batch normalisation folded if it can be.

        The live network is never copied: hooks of a profiler or a user may hold what cannot be.
        """
        if isinstance(self.backbone, ResNet18) and self.backbone.is_as_built():
            yield self.backbone.folded()
            return
        with eval_mode(self.backbone):
            yield self.backbone

    def on_fit_start(self) -> None:
        """Refuses float16 with a regularizer that differentiates before the loss is scaled.

        Notes in what shape regularizers remember, which no later checkpoint may change.

        Raises:
            ValueError: If there is one.
        """
        self._memory = _shapes(self.regularizers)
        takers = [r.name for r in self._regularizers() if r.takes_gradients]
        if takers and self.trainer.precision in ("16-mixed", "16-true"):
            raise ValueError(
                f"trainer.precision is {self.trainer.precision}, whose scaled loss does not reach "
                f"the gradients inside {', '.join(takers)}; give bf16-mixed or 32-true"
            )

    def on_train_start(self) -> None:
        """Fits the schedule to a length that a callback has changed since: BatchSizeFinder, say.

        Says so where a penalty is still rising when the training ends.
        """
        self._tell_long_warm_ups()
        scheduler = self.lr_schedulers()
        if isinstance(scheduler, FractionalStepLR) and scheduler is self._fitted_scheduler:
            state = scheduler.state_dict()
            scheduler.set_total_steps(self._schedule_length())
            scheduler.load_state_dict(state)  # a resumed run may have passed other milestones

    def _tell_long_warm_ups(self) -> None:
        steps = self.trainer.estimated_stepping_batches
        for name, regularizer, _ in name_regularizers(self._regularizers()):
            if not isinstance(regularizer, Penalty):
                continue
            warmup = regularizer.resolved_warmup_steps(self.penalty_warmup_steps)
            if warmup > steps:
                key = "warmup_steps" if regularizer.warmup_steps else "penalty_warmup_steps"
                rank_zero_info(
                    f"{name} rises over {warmup} steps, and the run has {steps:.0f}, so that it "
                    f"ends at {steps / warmup:.1%} of its weight; give a lower {key}"
                )

    def on_train_batch_start(self, batch: Batch, batch_idx: int) -> None:
        """Sets the random state of this batch."""
        seed = derive_seed("dropout", self.seed, self.current_epoch, batch_idx, self.global_rank)
        if self.device.type == "cpu":
            # torch.manual_seed also records a stack trace for every device that is not there.
            torch.default_generator.manual_seed(seed)
        else:
            torch.manual_seed(seed)

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Returns the regularized loss, logged with its terms under ``train/``.

        Where a regularizer mixed the targets, accuracy is that of the heavier label.
        """
        images, labels = batch
        step = self._step(batch_idx, len(images))
        terms = regularized_loss(self.backbone, self._regularizers(), images, labels, step)
        is_mixed = terms.targets.is_floating_point()
        heaviest = terms.targets.argmax(1) if is_mixed else terms.targets
        self.train_accuracy.update(terms.logits.detach(), heaviest)
        self._log_terms(terms)
        self.log("lr", self.trainer.optimizers[0].param_groups[0]["lr"])
        if self.trainer.global_step < _WATCHED_STEPS and terms.penalties and self.loggers:
            self._log_gradient_ratio(terms)
        return terms.total

    def _log_terms(self, terms: Terms) -> None:
        """Logs the terms of the whole batch, to which a schedule may look on every process."""
        named = {"loss": terms.total, "cross_entropy": terms.cross_entropy, **terms.penalties}
        values = torch.stack([*named.values()]).detach()
        if self.trainer.world_size > 1:
            dist.all_reduce(values)  # once a step; Lightning's sync_dist would wait for each
            values /= self.trainer.world_size
        rare = {
            name: getattr(regularizer, "every_n_steps", 1)
            for name, regularizer, _ in name_regularizers(self._regularizers())
        }
        for name, value in zip(named, values, strict=True):
            every_n_steps = rare.get(name, 1)
            logger = None if every_n_steps == 1 else False
            self.log(f"train/{name}", value, prog_bar=name == "loss", logger=logger)
            if every_n_steps > 1:
                self._log_rare(f"train/{name}", value, every_n_steps)

    def _log_rare(self, name: str, value: Tensor, every_n_steps: int) -> None:
        """Logs a term at the step that it is of; Lightning would repeat it at a later one."""
        interval: int = self.trainer.log_every_n_steps  # type: ignore[attr-defined]
        step = self.trainer.global_step
        is_due = interval and step // interval != (step - every_n_steps) // interval
        if is_due and self._logged_rare.get(name) != step:  # which may accumulate several batches
            self._logged_rare[name] = step
            for logger in self.loggers:
                logger.log_metrics({name: value.item()}, step)

    def _log_gradient_ratio(self, terms: Terms) -> None:
        """Logs, in every one of the first steps, how the penalties compare with the loss."""
        if any(type(r).wrap is not Regularizer.wrap for r in self._regularizers()):
            return  # the loss is another than the sum of these terms, whose graph may be gone
        try:
            weights = self.backbone.parameters()
            ratio = penalty_gradient_ratio(terms, weights, self.trainer.world_size)
        except RuntimeError as error:  # a compiled backbone may give its gradients but once
            rank_zero_warn(f"train/penalty_gradient_ratio is left out: {error}")
            return
        for logger in self.loggers:
            logger.log_metrics(
                {"train/penalty_gradient_ratio": ratio.item()}, self.trainer.global_step
            )

    def _regularizers(self) -> Sequence[Regularizer]:
        return cast(Sequence[Regularizer], self.regularizers)

    def _step(self, batch_idx: int, num_images: int) -> Step:
        return Step(
            self.backbone,
            self.num_classes,
            index=batch_idx,
            epoch=self.current_epoch,
            global_step=self.trainer.global_step,
            seed=self.seed,
            rank=self.global_rank,
            world_size=self.trainer.world_size,
            global_size=self._global_size(batch_idx, num_images),
            pixels=_pixel_space(current_datamodule(self.trainer)),
            penalty_warmup_steps=self.penalty_warmup_steps,
        )

    def _global_size(self, batch_idx: int, num_images: int) -> int | None:
        """Returns the images of all processes together, where it is known how they are shared."""
        loader = self.trainer.train_dataloader
        if not isinstance(loader, BatchLoader):
            return None
        size = loader.global_size(batch_idx)
        share = range(self.global_rank, size, self.trainer.world_size)
        return size if len(share) == num_images else None  # a hook may have made more of them

    def on_train_epoch_end(self) -> None:
        """Logs the accuracy over the epoch's training batches."""
        self.log("train/accuracy", self.train_accuracy, prog_bar=True)

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Logs accuracy and loss of held-out images, or the curve on test images if none are."""
        prefix = getattr(current_datamodule(self.trainer), "validation_name", "val")
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

    def hyperparameters(self) -> dict[str, Any]:
        """Returns what a comparison of runs varies, by short names."""
        optimizer = self._build_optimizer()
        group = optimizer.param_groups[0]
        chosen = ("lr", "weight_decay", "momentum")
        found: dict[str, Any] = {"optimizer": type(optimizer).__name__}
        found |= {key: group[key] for key in chosen if key in group}
        found |= getattr(self.backbone, "arguments", {"backbone": type(self.backbone).__name__})
        for name, value in self.hparams.items():
            if name not in ("lr_interval", "num_classes"):
                found[name] = value
        for regularizer in self._regularizers():
            for name in inspect.signature(type(regularizer)).parameters:
                value = getattr(regularizer, name, None)  # one's own need not keep its arguments
                if hasattr(regularizer, name) and not isinstance(value, Tensor):
                    found[f"{regularizer.name}/{name}"] = value
        return found

    def refuse_twin(self, own: Callback, advice: str) -> None:
        """Refuses a callback of the user's beside the module's own, which would take its place.

        Args:
            own: The module's callback.
            advice: What to do instead.

        Raises:
            ValueError: If the user gave the trainer a callback of that class.
        """
        _BROUGHT.add(own)
        callbacks: list[Callback] = self.trainer.callbacks  # type: ignore[attr-defined]
        if any(isinstance(c, type(own)) and c not in _BROUGHT for c in callbacks):
            raise ValueError(
                f"{type(self).__name__} brings its own {type(own).__name__}; leave the one in "
                f"trainer.callbacks out and {advice}"
            )

    def configure_optimizers(self) -> Any:
        """Builds optimizer and schedule from the config.

        Raises:
            ValueError: If the run has no length to schedule, or a plateau schedule does not say
                what to look at.
        """
        optimizer = self._build_optimizer()
        scheduler = self._build_lr_scheduler(optimizer)
        if isinstance(scheduler, FractionalStepLR):
            scheduler.set_total_steps(self._schedule_length())
            self._fitted_scheduler = scheduler
        entry: dict[str, Any] = {"scheduler": scheduler, "interval": self.lr_interval}
        if isinstance(scheduler, torch.optim.lr_scheduler.ReduceLROnPlateau):
            entry["monitor"] = self._monitored_metric(scheduler)
        return {"optimizer": optimizer, "lr_scheduler": entry}

    def _monitored_metric(self, scheduler: torch.optim.lr_scheduler.ReduceLROnPlateau) -> str:
        if not isinstance(scheduler, ReduceLROnPlateau):
            raise ValueError(
                "torch's ReduceLROnPlateau does not say what to look at; give "
                "--lr_scheduler pytorch_lightning.cli.ReduceLROnPlateau --lr_scheduler.monitor NAME"
            )
        if self.lr_interval == "step" and not scheduler.monitor.startswith("train/"):
            raise ValueError(
                f"lr_scheduler.monitor is {scheduler.monitor}, which is not known after every "
                "step; give --model.lr_interval epoch"
            )
        return scheduler.monitor

    def _build_optimizer(self) -> Optimizer:
        return self.build_optimizer(self.parameters())

    def _build_lr_scheduler(self, optimizer: Optimizer) -> Any:
        try:
            return self.build_lr_scheduler(optimizer)
        except ValueError as error:
            if "total_steps" not in str(error):
                raise
            build: Callable[..., Any] = self.build_lr_scheduler  # OneCycleLR, whose length we know
            return build(optimizer, total_steps=self._schedule_length())

    def _schedule_length(self) -> int:
        """Returns how often the schedule is stepped."""
        callbacks: list[Callback] = self.trainer.callbacks  # type: ignore[attr-defined]
        if any(isinstance(callback, GradientAccumulationScheduler) for callback in callbacks):
            raise ValueError(
                "with a GradientAccumulationScheduler the number of steps is not known, nor the "
                "schedule's length; give trainer.accumulate_grad_batches, or another lr_scheduler"
            )
        steps = self.trainer.estimated_stepping_batches
        if steps == float("inf"):
            raise ValueError("the run has no end; give trainer.max_epochs or trainer.max_steps")
        if steps < 0 < self.trainer.limit_train_batches:  # of 0 batches there is no schedule
            raise ValueError(
                "the training data does not tell its length, and so not the schedule's; give "
                "trainer.max_steps or trainer.limit_train_batches"
            )
        if self.lr_interval == "step":
            return int(steps)
        self.trainer.fit_loop.setup_data()
        batches = self.trainer.num_training_batches
        if batches == float("inf"):
            raise ValueError("the training images have no end; give lr_interval 'step'")
        return math.ceil(steps / math.ceil(batches / self.trainer.accumulate_grad_batches))

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Notes what the weights belong to, and what the epoch's accuracy counted so far.

        Raises:
            ValueError: If a regularizer remembers what no new one could be given.
        """
        checkpoint["variant_class"] = type(self).__name__
        if isinstance(self.backbone, _BACKBONES) and self.backbone.is_as_built():
            checkpoint[type(self.backbone).__name__.lower()] = self.backbone.arguments
        checkpoint["regularizers"] = [type(r).__name__ for r in self.regularizers]
        self._refuse_grown_memory()
        progress = self.trainer.fit_loop.epoch_loop.batch_progress
        if progress.current.ready and not progress.is_last_batch:
            counts = self.train_accuracy.metric_state
            so_far = {name: torch.as_tensor(count).clone() for name, count in counts.items()}
            if self.trainer.world_size > 1:
                for count in so_far.values():
                    dist.all_reduce(count)
            checkpoint["train_accuracy"] = so_far

    def _refuse_grown_memory(self) -> None:
        now = _shapes(self.regularizers)
        before = getattr(self, "_memory", now)
        for key in sorted(now.keys() | before.keys()):
            if now.get(key) != before.get(key):
                place, _, name = key.partition(".")
                owner = type(self.regularizers[int(place)])
                if owner._load_from_state_dict is not nn.Module._load_from_state_dict:
                    continue  # it makes room for what it loads
                raise ValueError(
                    f"{owner.__name__} remembers {name} of shape {now.get(key)}, which had "
                    f"{before.get(key)} when the training began, so that no checkpoint of it could "
                    "be loaded; give it its final shape in __init__"
                )

    @classmethod
    def load_from_checkpoint(
        cls,
        checkpoint_path: str | Path | IO[bytes],
        map_location: Any = None,
        hparams_file: str | Path | None = None,
        strict: bool | None = None,
        weights_only: bool | None = None,
        **kwargs: Any,
    ) -> Self:
        """Loads a trained module with the backbone that it was trained with, if it is one of ours.

        Any other, and one of ours whose layers were changed, must be given as ``backbone``, and
        ``regularizers`` that were given to the trained module must be given again.
        """
        checkpoint = pl_load(checkpoint_path, "cpu", weights_only)
        if not isinstance(checkpoint_path, str | Path):
            checkpoint_path.seek(0)
        for backbone in _BACKBONES:
            arguments = checkpoint.get(backbone.__name__.lower())
            if arguments and "backbone" not in kwargs:
                kwargs["backbone"] = backbone(**arguments)
        return super().load_from_checkpoint(
            checkpoint_path, map_location, hparams_file, strict, weights_only, **kwargs
        )

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Refuses the weights of another variant, and restores what the epoch's accuracy counted.

        Raises:
            ValueError: If the checkpoint was written by another class.
        """
        found = checkpoint.get("variant_class")
        if found != type(self).__name__:
            raise ValueError(
                f"the checkpoint holds {found or 'no variant of this project'}, the config asks "
                f"for {type(self).__name__}; give the config that trained it"
            )
        if self._trainer is None:  # load_from_checkpoint
            self._leave_out_lacking_regularizers(checkpoint)
        for name, count in checkpoint.get("train_accuracy", {}).items():
            share = count if self.global_rank == 0 else torch.zeros_like(count)  # of all processes
            setattr(self.train_accuracy, name, share.to(self.device))

    def _leave_out_lacking_regularizers(self, checkpoint: dict[str, Any]) -> None:
        trained = checkpoint.get("regularizers", [])
        own = [type(regularizer).__name__ for regularizer in self.regularizers]
        if lacking := Counter(trained) - Counter(own):
            rank_zero_warn(
                f"the module was trained with {', '.join(lacking)}, which the loaded one lacks; to "
                "train on, give regularizers="
            )
        weights = checkpoint["state_dict"]
        for index, name in enumerate(trained):
            if own[index : index + 1] != [name]:
                for key in [k for k in weights if k.startswith(f"regularizers.{index}.")]:
                    del weights[key]


def _shapes(module: nn.Module) -> dict[str, list[int] | None]:
    return {
        name: list(value.shape) if isinstance(value, Tensor) else None
        for name, value in module.state_dict().items()
    }


def _pixel_space(data: Any) -> PixelSpace | None:
    mean, std = getattr(data, "mean", None), getattr(data, "std", None)
    if mean is None or std is None:
        return None
    told = [torch.as_tensor(t, dtype=torch.float64).reshape(-1).tolist() for t in (mean, std)]
    return PixelSpace(*map(tuple, told)) if all(told) else None
