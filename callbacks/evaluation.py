"""Accuracy's companion: how much decision boundary lies between and around test images."""

from collections.abc import Sequence
from functools import partial
from typing import Literal

import torch.distributed as dist
from pytorch_lightning import LightningModule, Trainer
from pytorch_lightning.utilities import rank_zero_info

from regularizer_collection.callbacks.data_planes import DataPlanes
from regularizer_collection.callbacks.log_alike import log_alike
from regularizer_collection.callbacks.measurement import Measurement, data_of, show
from regularizer_collection.callbacks.plane_set import PlaneSet
from regularizer_collection.callbacks.random_planes import RandomPlanes
from regularizer_collection.callbacks.segments import Segments
from regularizer_collection.functional.checks import check_at_least


class Evaluation(Measurement):
    """Measures the predicted classes on the same planes for every model, at test time.

    Images and directions come from one seed alone, so every model, on any number of processes, is
    measured on the same planes, which processes share. The mean over planes of each measure is
    logged as ``test/<measure>/<planes>``, such as ``test/boundary_density/data`` or
    ``test/tv_isotropic/zoom_0.025``; :attr:`record` keeps the value of every plane by the kind of
    planes, and ``planes/zoom_<zoom>.png`` below the trainer's ``default_root_dir`` shows the random
    ones.

    Args:
        zoom_levels: Reciprocals of the random planes' half-widths in input units.
        num_planes: Number of random planes, each through another test image.
        resolution: Points along each side of a random plane.
        mode: How random planes are classified, "exact" or "adaptive", see :class:`RandomPlanes`.
        chunk_size: Points of a random plane classified at a time.
        every_n_epochs: Measures the planes between images after every n-th training epoch too,
            logged under ``test_curve/``; 0 measures at test time only.
        seed: Seed of all planes.
        plane_sets: Planes beside the random ones; None takes 8 :class:`DataPlanes` and 40
            :class:`Segments` for each of them, as far as there are test images, 50 points along
            each side or as many as a random plane has.

    Raises:
        ValueError: If an argument is out of range.
    """

    section = "planes"

    def __init__(
        self,
        zoom_levels: Sequence[float] = (0.025, 0.01, 0.001),
        num_planes: int = 25,
        resolution: int = 250,
        mode: Literal["adaptive", "exact"] = "adaptive",
        chunk_size: int = 500,
        every_n_epochs: int = 0,
        seed: int = 0,
        plane_sets: Sequence[PlaneSet] | None = None,
    ) -> None:
        super().__init__()
        check_at_least("every_n_epochs", every_n_epochs, 0)
        random_planes = RandomPlanes(zoom_levels, num_planes, resolution, mode, chunk_size)
        self.is_default = plane_sets is None
        if plane_sets is None:
            points = min(50, resolution)
            plane_sets = [DataPlanes(8 * num_planes, points), Segments(40 * num_planes, points)]
        self.plane_sets = [*plane_sets, random_planes]
        if len({plane_set.kind for plane_set in self.plane_sets}) < len(self.plane_sets):
            kinds = ", ".join(plane_set.kind for plane_set in self.plane_sets)
            raise ValueError(f"plane_sets are {kinds}; give each kind once")
        self.every_n_epochs = every_n_epochs
        self.seed = seed

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Refuses, before anything is trained, what could not be measured afterwards.

        Raises:
            ValueError: If data, model and planes do not fit.
        """
        if stage not in ("fit", "test"):
            return
        images, _ = data_of(trainer, pl_module).images_and_labels("test")
        for plane_set in self.plane_sets:
            if self.is_default and plane_set is not self.plane_sets[-1]:
                plane_set.num_planes = min(plane_set.num_planes, len(images))
            plane_set.check(len(images))

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Measures the cheap planes after every n-th epoch, if asked to."""
        if self.every_n_epochs and (trainer.current_epoch + 1) % self.every_n_epochs == 0:
            cheap = [plane_set for plane_set in self.plane_sets if plane_set.is_cheap]
            if trainer.world_size > 1:  # until the next forward pass each has statistics of its own
                for buffer in pl_module.buffers():
                    dist.broadcast(buffer, 0)
            self._evaluate(cheap, trainer, pl_module, "test_curve")

    def on_test_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Measures all planes, and prints the mean of each measure."""
        self._evaluate(self.plane_sets, trainer, pl_module, "test")

    def _evaluate(
        self,
        plane_sets: Sequence[PlaneSet],
        trainer: Trainer,
        pl_module: LightningModule,
        prefix: str,
    ) -> None:
        """Fills :attr:`record`, logs the means and draws the planes."""
        self.record = {}
        is_trial = bool(trainer.fast_dev_run)  # type: ignore[attr-defined]
        with self.subject(trainer, pl_module) as subject:
            images, _ = subject.data.images_and_labels("test")
            shape = subject.images([0]).shape[1:]
            for plane_set in plane_sets:
                planes = plane_set.draw(len(images), shape, self.seed)[: 1 if is_trial else None]
                measured = self.measure_each(
                    f"{plane_set.kind.capitalize()} planes",
                    planes,
                    partial(plane_set.measure, subject),
                    trainer,
                )
                if not measured:
                    continue
                values = list(measured.values())
                record = plane_set.sum_up([planes[number] for number in measured], values)
                self.record[plane_set.kind] = {"seed": self.seed} | record
                for name, mean in plane_set.metrics(record).items():
                    log_alike(pl_module, f"{prefix}/{name}", mean)
                    if prefix == "test":
                        rank_zero_info(f"{name}: {mean:.4g}, mean of {len(values)} planes")
                if trainer.is_global_zero and not is_trial:
                    for name, figure in plane_set.figures(record, values, subject.data).items():
                        show(name, figure, trainer, prefix)
        if plane_sets and not self.record:  # Ctrl-C came before the first plane
            raise KeyboardInterrupt
