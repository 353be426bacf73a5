"""Accuracy's companion: how much decision boundary lies on random planes through test images."""

from collections.abc import Callable, Sequence
from typing import Any, Literal, NamedTuple

import torch
from pytorch_lightning import Callback, LightningModule, Trainer
from torch import Tensor, nn

from datamodules.image_data_module import ImageDataModule
from functional.adaptive_map import ClassMap
from functional.planes import classify_plane_with_error, random_directions
from functional.seeding import derive_seed
from functional.total_variation import (
    anisotropic_tv,
    boundary_distance,
    boundary_length,
    isotropic_tv,
)


class Plane(NamedTuple):
    """A random plane: the position of a test image, and two directions [2, 3, height, width]."""

    image_index: int
    directions: Tensor


class Evaluation(Callback):
    """Measures class maps on the same random planes for every model, at test time.

    Images and directions come from one seed alone, so every model, on any number of processes, is
    measured on the same planes, which processes share. The mean over planes of each measure is
    logged as ``test/<measure>/zoom_<zoom>``; :attr:`results` keeps the value of every plane. The
    boundary distance ends at the half-width of the plane, beyond which nothing was looked at.

    Args:
        zoom_levels: Reciprocals of the planes' half-widths in input units.
        num_planes: Number of planes, each through another test image.
        resolution: Points along each side of a plane.
        mode: "exact" classifies every point, "adaptive" the neighbourhood of the boundaries and a
            random sample of the rest, which bounds the error.
        chunk_size: Points classified at a time.
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
        seed: int = 0,
    ) -> None:
        if not zoom_levels or not all(zoom > 0 for zoom in zoom_levels):
            raise ValueError(f"zoom_levels are {list(zoom_levels)}; give numbers above 0")
        if num_planes < 1:
            raise ValueError(f"num_planes is {num_planes}; give 1 or more")
        if resolution < 2:
            raise ValueError(f"resolution is {resolution}; give 2 or more")
        if chunk_size < 1:
            raise ValueError(f"chunk_size is {chunk_size}; give 1 or more")
        self.zoom_levels = list(zoom_levels)
        self.num_planes = num_planes
        self.resolution = resolution
        self.mode = mode
        self.chunk_size = chunk_size
        self.seed = seed
        self.results: dict[str, Any] = {}

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

    def on_test_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Measures the planes and logs the means.

        Raises:
            ValueError: If the data has no test images in memory or does not fit the model.
        """
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
        images, _ = data.images_and_labels("test")
        normalised = data.normalize(images[:1])
        planes = self.planes(len(images), normalised.shape[1:])
        model = _for_inference(pl_module)
        shares: list[dict[int, dict[str, dict[str, float]]]] = [{}]
        for number in range(trainer.global_rank, len(planes), trainer.world_size):
            plane = planes[number]
            image = data.normalize(images[plane.image_index][None])[0].to(pl_module.device)
            shares[0][number] = {
                f"zoom_{zoom:g}": self._measure(model, image, plane.directions, zoom, number)
                for zoom in self.zoom_levels
            }
        if trainer.world_size > 1:
            own, shares = shares[0], [{} for _ in range(trainer.world_size)]
            torch.distributed.all_gather_object(shares, own)
        measured = {number: values for share in shares for number, values in share.items()}
        self.results = {
            "seed": self.seed,
            "resolution": self.resolution,
            "mode": self.mode,
            "image_indices": [plane.image_index for plane in planes],
            "zoom_levels": {
                f"zoom_{zoom:g}": _by_measure(
                    [measured[number][f"zoom_{zoom:g}"] for number in range(len(planes))]
                )
                for zoom in self.zoom_levels
            },
        }
        for zoom, measures in self.results["zoom_levels"].items():
            for name in ("tv_isotropic", "tv_anisotropic", "boundary_length", "boundary_distance"):
                values = torch.tensor(measures[name])
                pl_module.log(f"test/{name}/{zoom}", values.mean(), rank_zero_only=True)

    def _measure(
        self,
        model: Callable[[Tensor], Tensor],
        image: Tensor,
        directions: Tensor,
        zoom: float,
        number: int,
    ) -> dict[str, float]:
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
        return {
            "tv_isotropic": isotropic_tv(labels),
            "tv_anisotropic": anisotropic_tv(labels),
            "boundary_length": boundary_length(labels),
            "boundary_distance": min(boundary_distance(labels, 1 / zoom), 1 / zoom),
            "num_classes": float(len(labels.unique())),
            "evaluated_share": class_map.evaluated_share,
            "disagreement_bound": class_map.disagreement_bound,
            "redone": float(class_map.redone),
            "non_finite": float(class_map.non_finite),
        }


def _for_inference(pl_module: LightningModule) -> nn.Module:
    backbone = pl_module.backbone
    assert isinstance(backbone, nn.Module)
    folded = getattr(backbone, "folded", None)
    return folded() if callable(folded) else backbone


def _by_measure(planes: list[dict[str, float]]) -> dict[str, list[float]]:
    return {name: [plane[name] for plane in planes] for name in planes[0]}
