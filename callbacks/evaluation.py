"""Accuracy's companion: how much decision boundary lies on random planes through test images."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

import torch
from pytorch_lightning import Callback, LightningModule, Trainer
from pytorch_lightning.loggers import TensorBoardLogger
from pytorch_lightning.utilities import rank_zero_info, rank_zero_warn
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from torch import Tensor

from regularizer_collection.callbacks.plane_figure import plane_figure
from regularizer_collection.datamodules.image_data_module import ImageDataModule
from regularizer_collection.functional.adaptive_map import ClassMap
from regularizer_collection.functional.planes import classify_plane_with_error, random_directions
from regularizer_collection.functional.seeding import derive_seed
from regularizer_collection.functional.statistics import confidence_interval
from regularizer_collection.functional.total_variation import (
    anisotropic_tv,
    boundary_distance,
    boundary_length,
    isotropic_tv,
)

MEASURES = ("tv_isotropic", "tv_anisotropic", "boundary_length", "boundary_distance")
"""What is logged and reported of each plane."""


class Plane(NamedTuple):
    """A random plane: the position of a test image, and two directions [2, 3, height, width]."""

    image_index: int
    directions: Tensor


class Measured(NamedTuple):
    """Class map [resolution, resolution] (int16) of a plane at one zoom level, and its measures."""

    labels: Tensor
    measures: dict[str, float]


class Evaluation(Callback):
    """Measures class maps on the same random planes for every model, at test time.

    Images and directions come from one seed alone, so every model, on any number of processes, is
    measured on the same planes, which processes share. The mean over planes of each measure is
    logged as ``test/<measure>/zoom_<zoom>``; :attr:`results` keeps the value of every plane, and
    ``planes/zoom_<zoom>.png`` below the trainer's ``default_root_dir`` shows them. The boundary
    distance ends at the half-width of the plane, beyond which nothing was looked at.

    Ctrl-C ends the measurement with the planes that are done.

    Args:
        zoom_levels: Reciprocals of the planes' half-widths in input units.
        num_planes: Number of planes, each through another test image.
        resolution: Points along each side of a plane.
        mode: "exact" classifies every point, "adaptive" the neighbourhood of the boundaries and a
            random sample of the rest, which bounds the error.
        chunk_size: Points classified at a time.
        every_n_epochs: Measures after every n-th training epoch too, logged as
            ``test_curve/<measure>/zoom_<zoom>``; 0 measures at test time only.
        seed: Seed of the planes.

    Raises:
        ValueError: If an argument is out of range.
    """

    def __init__(
        self,
        zoom_levels: Sequence[float] = (0.025, 0.01, 0.001),
        num_planes: int = 25,
        resolution: int = 250,
        mode: Literal["adaptive", "exact"] = "adaptive",
        chunk_size: int = 500,
        every_n_epochs: int = 0,
        seed: int = 0,
    ) -> None:
        if not zoom_levels or not all(0 < zoom < float("inf") for zoom in zoom_levels):
            raise ValueError(f"zoom_levels are {list(zoom_levels)}; give numbers above 0")
        if num_planes < 1:
            raise ValueError(f"num_planes is {num_planes}; give 1 or more")
        if resolution < 2:
            raise ValueError(f"resolution is {resolution}; give 2 or more")
        if mode not in ("adaptive", "exact"):
            raise ValueError(f"mode is {mode!r}; give 'adaptive' or 'exact'")
        if chunk_size < 1:
            raise ValueError(f"chunk_size is {chunk_size}; give 1 or more")
        if every_n_epochs < 0:
            raise ValueError(f"every_n_epochs is {every_n_epochs}; give 0 or more")
        self.zoom_levels = list(zoom_levels)
        self.num_planes = num_planes
        self.resolution = resolution
        self.mode = mode
        self.chunk_size = chunk_size
        self.every_n_epochs = every_n_epochs
        self.seed = seed
        self.results: dict[str, Any] = {}
        self.class_maps: dict[str, list[Tensor]] = {}

    def planes(self, num_images: int, image_shape: Sequence[int]) -> list[Plane]:
        """Draws the planes, the same for the same seed and data.

        Args:
            num_images: Number of test images to choose from.
            image_shape: Shape of a normalised image.

        Raises:
            ValueError: If there are fewer images than planes.
        """
        if self.num_planes > num_images:
            raise ValueError(
                f"num_planes is {self.num_planes}, the test split has {num_images} images; "
                "give fewer planes"
            )
        generator = torch.Generator().manual_seed(derive_seed("images", self.seed))
        chosen = torch.randperm(num_images, generator=generator)[: self.num_planes]
        return [
            Plane(
                int(image_index),
                random_directions(
                    image_shape,
                    torch.Generator().manual_seed(derive_seed("directions", self.seed, number)),
                ),
            )
            for number, image_index in enumerate(chosen)
        ]

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Measures the planes after every n-th epoch, if asked to."""
        if self.every_n_epochs and (trainer.current_epoch + 1) % self.every_n_epochs == 0:
            self._evaluate(trainer, pl_module, "test_curve")

    def on_test_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Measures the planes, and prints the mean of each measure with its 95 % interval."""
        self._evaluate(trainer, pl_module, "test")
        for zoom, measures in self.results["zoom_levels"].items():
            for name in MEASURES:
                mean, half_width = confidence_interval(measures[name])
                rank_zero_info(f"{name} {zoom}: {mean:.6g} +/- {half_width:.4g}")

    def _evaluate(self, trainer: Trainer, pl_module: LightningModule, prefix: str) -> None:
        """Fills :attr:`results` and :attr:`class_maps`, logs the means and draws the planes.

        Raises:
            ValueError: If the data has no test images in memory or does not fit the model.
        """
        data = _data_of(trainer, pl_module)
        images, _ = data.images_and_labels("test")
        planes = self.planes(len(images), data.normalize(images[:1]).shape[1:])
        if trainer.fast_dev_run:  # type: ignore[attr-defined]
            planes = planes[:1]
        measured = _gather(self._measure_share(planes, data, trainer, pl_module), trainer)
        if not measured:
            raise KeyboardInterrupt
        done = sorted(measured)
        if len(done) < len(planes):
            rank_zero_warn(f"interrupted: the results hold {len(done)} of {len(planes)} planes")
        self.class_maps = {}
        self.results = {
            "seed": self.seed,
            "resolution": self.resolution,
            "mode": self.mode,
            "image_indices": [planes[number].image_index for number in done],
            "missing_planes": len(planes) - len(done),
            "zoom_levels": {},
        }
        for zoom in self.zoom_levels:
            name = f"zoom_{zoom:g}"
            maps = [measured[number][name] for number in done]
            self.class_maps[name] = [labels for labels, _ in maps]
            values = {key: [measures[key] for _, measures in maps] for key in maps[0].measures}
            self.results["zoom_levels"][name] = values
            for key in MEASURES:
                mean = sum(values[key]) / len(done)
                pl_module.log(f"{prefix}/{key}/{name}", mean, rank_zero_only=True)
            _report_doubts(name, values)
        if trainer.is_global_zero and not trainer.fast_dev_run:  # type: ignore[attr-defined]
            self._draw(trainer, data, prefix)

    def _measure_share(
        self,
        planes: list[Plane],
        data: ImageDataModule,
        trainer: Trainer,
        pl_module: LightningModule,
    ) -> dict[int, dict[str, Measured]]:
        """Measures the planes of this process, all of them or those before a Ctrl-C."""
        images, _ = data.images_and_labels("test")
        share = range(trainer.global_rank, len(planes), trainer.world_size)
        measured: dict[int, dict[str, Measured]] = {}
        is_quiet = trainer.progress_bar_callback is None or share.start > 0
        with (
            pl_module.for_inference() as model,  # type: ignore[operator]
            _progress(disable=is_quiet) as bar,
        ):
            task = bar.add_task("Planes", total=len(share) * len(self.zoom_levels))
            try:
                for number in share:
                    plane = planes[number]
                    image = data.normalize(images[plane.image_index][None])[0]
                    image = image.to(pl_module.device, pl_module.dtype)  # type: ignore[arg-type]
                    zooms = {}
                    for zoom in self.zoom_levels:
                        zooms[f"zoom_{zoom:g}"] = self._measure(
                            model, image, plane.directions, zoom, number
                        )
                        bar.advance(task)
                    measured[number] = zooms
            except KeyboardInterrupt:
                pass  # The caller says what is missing.
        return measured

    def _measure(
        self,
        model: Callable[[Tensor], Tensor],
        image: Tensor,
        directions: Tensor,
        zoom: float,
        number: int,
    ) -> Measured:
        options = {"seed": number} if self.mode == "adaptive" else {}
        # Test runs in inference mode, whose tensors the adaptive map could not write to later.
        with torch.inference_mode(False):
            class_map: ClassMap = classify_plane_with_error(
                model,
                image.clone(),
                directions,
                zoom,
                self.resolution,
                self.mode,
                self.chunk_size,
                **options,
            )
        labels = class_map.labels
        return Measured(
            labels.short(),
            {
                "tv_isotropic": isotropic_tv(labels),
                "tv_anisotropic": anisotropic_tv(labels),
                "boundary_length": boundary_length(labels),
                "boundary_distance": min(boundary_distance(labels, 1 / zoom), 1 / zoom),
                "num_classes": float(len(labels.unique())),
                "evaluated_share": class_map.evaluated_share,
                "disagreement_bound": class_map.disagreement_bound,
                "redone": float(class_map.redone),
                "non_finite": float(class_map.non_finite),
            },
        )

    def _draw(self, trainer: Trainer, data: ImageDataModule, prefix: str) -> None:
        images, _ = data.images_and_labels("test")
        folder = Path(trainer.default_root_dir) / "planes"
        folder.mkdir(parents=True, exist_ok=True)
        for zoom in self.zoom_levels:
            name = f"zoom_{zoom:g}"
            values = self.results["zoom_levels"][name]
            figure = plane_figure(
                f"Predicted classes on random planes, zoom {zoom:g}",
                1 / zoom,
                data.num_classes,
                self.class_maps[name],
                [images[index] for index in self.results["image_indices"]],
                values["boundary_distance"],
                [f"isotropic TV {value:,.0f}" for value in values["tv_isotropic"]],
            )
            figure.savefig(folder / f"{name}.png", dpi=110)
            for logger in trainer.loggers:
                if isinstance(logger, TensorBoardLogger):
                    logger.experiment.add_figure(
                        f"{prefix}_planes/{name}", figure, trainer.global_step, close=False
                    )
                    logger.experiment.flush()


def _data_of(trainer: Trainer, pl_module: LightningModule) -> ImageDataModule:
    data = getattr(trainer, "datamodule", None)
    if not isinstance(data, ImageDataModule):
        raise ValueError(
            f"the data is {type(data).__name__}; planes need a subclass of ImageDataModule"
        )
    if pl_module.num_classes != data.num_classes:
        raise ValueError(
            f"the model has {pl_module.num_classes} classes, the data {data.num_classes}; "
            "give --model.num_classes and the backbone's the number of the data"
        )
    return data


def _gather(
    share: dict[int, dict[str, Measured]], trainer: Trainer
) -> dict[int, dict[str, Measured]]:
    """Merges what all processes measured."""
    if trainer.world_size == 1:
        return share
    shares: list[Any] = [None] * trainer.world_size
    torch.distributed.all_gather_object(shares, share)
    return {number: zooms for part in shares for number, zooms in part.items()}


def _report_doubts(zoom: str, values: dict[str, list[float]]) -> None:
    if redone := sum(values["redone"]):
        rank_zero_info(
            f"{zoom}: {redone:.0f} planes redone exactly, their error bound was too high"
        )
    if non_finite := sum(values["non_finite"]):
        rank_zero_warn(f"{zoom}: {non_finite:.0f} points without a class, logits are not finite")


def _progress(disable: bool) -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        disable=disable,
    )
