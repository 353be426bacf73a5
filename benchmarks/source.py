"""What is measured on: a trained network and the images of its planes."""

from functools import partial
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from benchmarks.race import Work
from regularizer_collection.__main__ import main
from regularizer_collection.callbacks import RandomPlanes
from regularizer_collection.datamodules import (
    CIFAR100DataModule,
    ImageDataModule,
    Shapes100DataModule,
)


class Source(NamedTuple):
    """A checkpoint of ``no_reg``, and the data.

    Attributes:
        checkpoint: Path of the checkpoint.
        data_dir: Folder of CIFAR-100, None for the built-in images.
        num_images: Built-in images to train on, and as many to test on.
    """

    checkpoint: str
    data_dir: str | None
    num_images: int

    @property
    def num_test_images(self) -> int:
        """Size of the test split."""
        return self.num_images if self.data_dir is None else 10_000

    def training(self) -> Work:
        """Returns the work that makes the checkpoint."""
        arguments = [
            *("fit", *self.arguments(), "--trainer.max_epochs", "2"),
            *("--evaluation.num_planes", "1", "--evaluation.resolution", "2"),
            "--evaluation.plane_sets=[]",
            *("--trainer.default_root_dir", str(Path(self.checkpoint).parents[3])),
            *("--trainer.enable_progress_bar", "false"),
        ]
        return partial(main, arguments)

    def arguments(self) -> list[str]:
        """Returns the arguments with which ``cli.py`` trains on this data."""
        if self.data_dir is None:
            sizes = [f"--data.{name}={size}" for name, size in self._sizes().items()]
            return ["--config", "no_reg.yaml", "--data", "Shapes100DataModule", *sizes]
        return [
            *("--config", "no_reg.yaml", "--data.data_dir", self.data_dir),
            *("--data.verify", "false"),
        ]

    def weights(self) -> dict[str, Tensor]:
        """Returns the state dict of the trained backbone."""
        state = torch.load(self.checkpoint, weights_only=True)["state_dict"]
        prefix = "backbone."
        return {n.removeprefix(prefix): state[n] for n in state if n.startswith(prefix)}

    def plane(self) -> tuple[Tensor, Tensor]:
        """Returns the first plane of every evaluation: its image and its directions."""
        data = self.data()
        data.setup("test")
        images, _ = data.images_and_labels("test")
        (plane,) = RandomPlanes(num_planes=1).draw(len(images), (3, 32, 32), seed=0)
        return data.normalize(images[plane.image_index][None])[0], plane.directions

    def data(self) -> ImageDataModule:
        """Returns the data module."""
        if self.data_dir is None:
            return Shapes100DataModule(**self._sizes())
        return CIFAR100DataModule(self.data_dir, download=False, verify=False)

    def _sizes(self) -> dict[str, int]:
        return {"train_size": self.num_images, "test_size": self.num_images}
