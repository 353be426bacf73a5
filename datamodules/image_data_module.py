"""The base of every data set: subclass it to plug in another one."""

import hashlib
from abc import abstractmethod
from collections.abc import Sequence
from functools import partial
from typing import Any, Literal

import torch
from pytorch_lightning import LightningDataModule
from pytorch_lightning.utilities import rank_zero_warn
from torch import Tensor

from regularizer_collection.datamodules.batch_loader import BatchLoader
from regularizer_collection.functional.augmentation import crop_and_flip
from regularizer_collection.functional.checks import check_at_least
from regularizer_collection.functional.seeding import derive_seed

Split = Literal["train", "test"]


class ImageDataModule(LightningDataModule):
    """Keeps uint8 images in memory, and normalises them on the device.

    A subclass sets ``num_classes``, ``mean`` and ``std`` and implements :meth:`load`; it may
    download in ``prepare_data``.

    With ``val_size=0`` nothing is held out: all training images train, and the validation loader
    draws a curve on the test images that chooses nothing.

    Args:
        batch_size: Samples of a step, which all processes share.
        val_size: Training images held out for validation, of each class in proportion to its
            images; below 1 a share of them.
        augment: Crops and flips training images at random.
        seed: Seed of shuffling, augmentation and the held-out part.

    Raises:
        ValueError: If an argument is out of range.
    """

    num_classes: int
    mean: tuple[float, ...]
    std: tuple[float, ...]

    def __init__(
        self, batch_size: int = 100, val_size: int | float = 0, augment: bool = False, seed: int = 0
    ) -> None:
        super().__init__()
        check_at_least("batch_size", batch_size, 1)
        check_at_least("val_size", val_size, 0)
        if val_size >= 1 and val_size != int(val_size):
            raise ValueError(f"val_size is {val_size}; give a whole number, or a share below 1")
        self.batch_size = batch_size
        self.val_size = val_size
        self.augment = augment
        self.seed = seed
        self._splits: dict[str, tuple[Tensor, Tensor]] = {}

    @abstractmethod
    def load(self, split: Split) -> tuple[Tensor, Tensor]:
        """Returns uint8 images [samples, height, width, channels] and int64 labels [samples]."""

    @property
    def validation_name(self) -> str:
        """Prefix of the validation metrics: what they are measured on."""
        return "val" if self.val_size else "test_curve"

    def setup(self, stage: str) -> None:
        """Loads what the stage needs, once.

        Raises:
            ValueError: If the labels do not fit the classes, ``val_size`` does not fit the data, or
                mean and std are not those of pixels from 0 to 1.
        """
        self._check_mean_and_std()
        if "test" not in self._splits:
            self._splits["test"] = self._checked("test")
        if "train" not in self._splits and (stage == "fit" or self.val_size):
            images, labels = self._checked("train")
            held_out = self._held_out(labels)
            self._splits["val"] = images[held_out], labels[held_out]
            self._splits["train"] = (
                (images[~held_out], labels[~held_out]) if self.val_size else (images, labels)
            )

    def _check_mean_and_std(self) -> None:
        for name in ("mean", "std"):
            given = getattr(self, name, None)
            numbers = given if isinstance(given, Sequence) else ()
            if not numbers or not all(0 <= number <= 1 for number in numbers):
                raise ValueError(
                    f"{type(self).__name__} has {name} {given}; give a tuple with a number for "
                    "each channel, of pixels from 0 to 1"
                )

    def _checked(self, split: Split) -> tuple[Tensor, Tensor]:
        images, labels = map(torch.as_tensor, self.load(split))
        if not len(labels):
            raise ValueError(f"{type(self).__name__} has no images in its {split} split; give some")
        channels = len(self.mean)
        fits = images.ndim == 4 and images.shape[3] in (1, 3 if channels == 1 else channels)
        if images.dtype != torch.uint8 or not fits:
            raise ValueError(
                f"{type(self).__name__} has images {_kind(images)} in its {split} split; give "
                f"uint8 [samples, height, width, {channels}], which are divided by 255"
            )
        if labels.is_floating_point() or labels.shape != images.shape[:1]:
            raise ValueError(
                f"{type(self).__name__} has labels {_kind(labels)} for {len(images)} images in its "
                f"{split} split; give a whole number for each image"
            )
        labels = labels.long()
        if labels.min() < 0 or labels.max() >= self.num_classes:
            raise ValueError(
                f"{type(self).__name__} has labels {int(labels.min())} to {int(labels.max())} in "
                f"its {split} split; give labels from 0 to {self.num_classes - 1}"
            )
        return images, labels

    def _held_out(self, labels: Tensor) -> Tensor:
        size = round(self.val_size * len(labels)) if self.val_size < 1 else int(self.val_size)
        if size >= len(labels) or (self.val_size > 0 and size == 0):
            raise ValueError(
                f"val_size is {self.val_size}, the training split has {len(labels)} images; "
                f"hold out {'more' if size == 0 else 'fewer'}"
            )
        generator = torch.Generator().manual_seed(derive_seed("held out", self.seed))
        shuffled = torch.randperm(len(labels), generator=generator)
        # A stable sort by each image's rank, as a share of its class, takes the classes in turn,
        # rare ones as much more seldom; the last of each class come last.
        by_class = shuffled[labels[shuffled].argsort(stable=True)]
        counts = labels.bincount(minlength=self.num_classes)
        starts = counts.cumsum(0) - counts
        classes = labels[by_class]
        number_in_class = torch.arange(len(labels)) - starts[classes]
        rank = (number_in_class + 0.5) / counts[classes] + (number_in_class == counts[classes] - 1)
        held_out = torch.zeros(len(labels), dtype=torch.bool)
        held_out[by_class[rank.argsort(stable=True)[:size]]] = True
        left = labels[~held_out].bincount(minlength=self.num_classes)
        if without := int(((left == 0) & (counts > 0)).sum()):
            rank_zero_warn(
                f"val_size is {self.val_size}, which leaves {without} of the classes no image to "
                "train on; hold out fewer"
            )
        return held_out

    def images_and_labels(self, split: Literal["train", "val", "test"]) -> tuple[Tensor, Tensor]:
        """Returns uint8 images [samples, height, width, channels] and labels, after setup."""
        return self._splits[split]

    def fingerprint(self) -> dict[str, str]:
        """Hashes images and labels of each split that is loaded."""
        hashes = {}
        for split, tensors in self._splits.items():
            digest = hashlib.sha256()
            for tensor in tensors:
                digest.update(str(tuple(tensor.shape)).encode())
                digest.update(tensor.contiguous().numpy().data)
            hashes[split] = digest.hexdigest()[:16]
        return hashes

    def train_dataloader(self) -> BatchLoader:
        """Shuffled training batches."""
        # As of any loader, Lightning wants the same batches again to overfit.
        is_fixed = self.trainer is not None and bool(self.trainer.overfit_batches)  # type: ignore[attr-defined]
        shuffle_seed = None if is_fixed else self.seed
        loader = self._loader("train", shuffle_seed=shuffle_seed)
        loader.position = partial(self._position_of, loader)
        return loader

    def val_dataloader(self) -> BatchLoader:
        """Held-out batches, or the test images where nothing is held out."""
        return self._loader("val" if self.val_size else "test")

    def test_dataloader(self) -> BatchLoader:
        """Test batches."""
        return self._loader("test")

    def predict_dataloader(self) -> BatchLoader:
        """Test batches."""
        return self._loader("test")

    def _loader(self, split: str, **options: Any) -> BatchLoader:
        images, labels = self._splits[split]
        if self.trainer:
            options |= {"rank": self.trainer.global_rank, "world_size": self.trainer.world_size}
        world_size = options.get("world_size", 1)
        if self.batch_size % world_size:
            raise ValueError(
                f"batch_size is {self.batch_size}, which {world_size} processes cannot share "
                "evenly; give a multiple of their number, or other --trainer.devices"
            )
        if len(labels) < 2 * world_size:
            raise ValueError(
                f"the {split} split has {len(labels)} images for {world_size} processes; give at "
                "least 2 for each"
            )
        loader = BatchLoader(images, labels, self.batch_size, **options)
        if len(labels) // len(loader) < world_size:
            raise ValueError(
                f"batch_size is {self.batch_size}, and a batch of the {len(labels)} images of the "
                f"{split} split has fewer than {world_size} processes need; give a larger one"
            )
        return loader

    def _position_of(self, loader: BatchLoader) -> tuple[int, int]:
        """Returns epoch and first batch: within an epoch only for what the trainer trains on.

        That is this loader, or one of somebody else's that takes its batches from it.
        """
        epoch, batch = self._training_position()
        if self.trainer is None or not self.trainer.training:
            return epoch, 0
        combined = self.trainer.fit_loop._combined_loader
        trained_on = combined.flattened if combined is not None else []
        ours = [own for own in trained_on if isinstance(own, BatchLoader)]
        return epoch, batch if not ours or any(own is loader for own in ours) else 0

    def _training_position(self) -> tuple[int, int]:
        if self.trainer is None:
            return 0, 0
        progress = self.trainer.fit_loop.epoch_loop.batch_progress
        return self.trainer.current_epoch, progress.current.ready

    def on_after_batch_transfer(
        self, batch: tuple[Tensor, Tensor], dataloader_idx: int
    ) -> tuple[Tensor, Tensor]:
        """Augments and normalises on the device."""
        images, labels = batch
        if self.augment and self.trainer is not None and self.trainer.training:
            seed = derive_seed(
                "augmentation", self.seed, *self._training_position(), self.trainer.global_rank
            )
            images = crop_and_flip(images, torch.Generator(images.device).manual_seed(seed))
        images = self.normalize(images)
        if self.trainer is not None:  # which has converted what was a float before this
            images = self.trainer.precision_plugin.convert_input(images)
        return images, labels

    def normalize(self, images: Tensor) -> Tensor:
        """Maps uint8 images [batch, height, width, channels] to floats, channels before height.

        Each channel gets the data set's mean 0 and standard deviation 1. The result is in
        channels_last memory format.
        """
        mean = torch.tensor(self.mean, device=images.device)
        std = torch.tensor(self.std, device=images.device)
        return (images / 255 - mean).div_(std).permute(0, 3, 1, 2)


def _kind(tensor: Tensor) -> str:
    return f"{str(tensor.dtype).removeprefix('torch.')} {list(tensor.shape)}"
