"""The planes of the source experiment."""

import math
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

import torch
from matplotlib.figure import Figure
from torch import Tensor

from regularizer_collection.callbacks.mapped_planes import MappedPlanes, trust
from regularizer_collection.callbacks.measurement import Subject
from regularizer_collection.callbacks.plane_figure import plane_figure
from regularizer_collection.callbacks.plane_set import Values, columns, mean_of, report_doubts
from regularizer_collection.datamodules.image_data_module import ImageDataModule
from regularizer_collection.functional.adaptive_map import NO_CLASS
from regularizer_collection.functional.boundaries import (
    boundary_density,
    boundary_distance,
    boundary_length,
)
from regularizer_collection.functional.packed_maps import encode_map
from regularizer_collection.functional.planes import random_directions
from regularizer_collection.functional.seeding import derive_seed
from regularizer_collection.functional.total_variation import anisotropic_tv, isotropic_tv

MEASURES = (
    "tv_isotropic",
    "tv_anisotropic",
    "boundary_length",
    "boundary_density",
    "boundary_distance",
)
"""What is logged and reported of each plane and zoom level."""


class Plane(NamedTuple):
    """The position of a test image, and two directions [2, channels, height, width]."""

    image_index: int
    directions: Tensor


class RandomPlanes(MappedPlanes):
    """Planes of random directions, each through another test image, at several zoom levels.

    Far from the image nearly no point is an image: at zoom 0.001 nine pixels in ten lie outside
    [0, 1]. Boundary distances that were not reached within the plane's half-width are infinite
    here and null in the record.

    Args:
        zoom_levels: Reciprocals of the planes' half-widths in input units.
        num_planes: Number of planes.
        resolution: Points along each side of a plane.
        mode: "exact" classifies every point, "adaptive" the neighbourhood of the boundaries and a
            random sample of the rest, which bounds the error.
        chunk_size: Points classified at a time.

    Raises:
        ValueError: If an argument is out of range.
    """

    kind = "random"
    images_per_plane = 1
    is_cheap = False

    def __init__(
        self,
        zoom_levels: Sequence[float] = (0.025, 0.01, 0.001),
        num_planes: int = 25,
        resolution: int = 250,
        mode: Literal["adaptive", "exact"] = "adaptive",
        chunk_size: int = 500,
    ) -> None:
        if not zoom_levels or not all(0 < zoom < math.inf for zoom in zoom_levels):
            raise ValueError(f"zoom_levels are {list(zoom_levels)}; give numbers above 0")
        super().__init__(num_planes, resolution, mode, chunk_size)
        self.zoom_levels = list(zoom_levels)

    def draw(self, num_images: int, image_shape: Sequence[int], seed: int) -> list[Plane]:
        """Draws the planes, the same for the same seed and data."""
        generator = torch.Generator().manual_seed(derive_seed("images", seed))
        chosen = torch.randperm(num_images, generator=generator)[: self.num_planes]
        return [
            Plane(
                int(image_index),
                random_directions(
                    image_shape,
                    torch.Generator().manual_seed(derive_seed("directions", seed, number)),
                ),
            )
            for number, image_index in enumerate(chosen)
        ]

    def measure(self, subject: Subject, plane: Plane, number: int) -> Values:
        """Measures a plane at each zoom level."""
        image = subject.place(subject.images([plane.image_index])[0])
        logits = subject.model(image[None])
        image_label = int(logits.argmax()) if logits.isfinite().all() else NO_CLASS
        return {
            f"zoom_{zoom:g}": self._measure(subject, image, image_label, plane, zoom, number)
            for zoom in self.zoom_levels
        }

    def _measure(
        self,
        subject: Subject,
        image: Tensor,
        image_label: int,
        plane: Plane,
        zoom: float,
        number: int,
    ) -> Values:
        class_map = self.class_map(subject, image, plane.directions, zoom, seed=number)
        labels, step = class_map.labels, 2 / zoom / (self.resolution - 1)
        distance = boundary_distance(labels, 1 / zoom, image_label)
        return {
            "labels": labels.short(),
            "tv_isotropic": isotropic_tv(labels),
            "tv_anisotropic": anisotropic_tv(labels),
            "boundary_length": boundary_length(labels),
            "boundary_density": boundary_density(labels, (step, step)),
            # Beyond the half-width only the corners were looked at.
            "boundary_distance": distance if distance <= 1 / zoom else math.inf,
            "num_classes": float(len(labels.unique())),
            "disagreement_bound": class_map.disagreement_bound,
            **trust(class_map),
        }

    def sum_up(self, planes: Sequence[Plane], values: Sequence[Values]) -> dict[str, Any]:
        """Returns the values of each plane, and what the maps' samples say of them together."""
        zooms, bounds = {}, {}
        for name in values[0]:
            lists = columns([value[name] for value in values], leave_out=["labels"])
            bounds[name] = self.bounds(lists)
            report_doubts(name, lists)
            reached = [None if math.isinf(d) else d for d in lists["boundary_distance"]]
            zooms[name] = lists | {"boundary_distance": reached}
        return {
            "resolution": self.resolution,
            "mode": self.mode,
            "image_indices": [plane.image_index for plane in planes],
            "missing_planes": self.num_planes - len(planes),
            "zoom_levels": zooms,
            "bounds_95": bounds,
            "class_maps": {name: encode_map(map_["labels"]) for name, map_ in values[0].items()},
        }

    def metrics(self, record: dict[str, Any]) -> dict[str, float]:
        """Returns means over planes; of the distance the restricted mean, up to the half-width."""
        means = {}
        for zoom, measures in record["zoom_levels"].items():
            limit = 1 / float(zoom.removeprefix("zoom_"))
            for name in MEASURES:
                known = [limit if value is None else value for value in measures[name]]
                means[f"{name}/{zoom}"] = mean_of(known)
        return means

    def figures(
        self, record: dict[str, Any], values: Sequence[Values], data: ImageDataModule
    ) -> dict[str, Figure]:
        """Draws every plane, one figure for each zoom level."""
        images, _ = data.images_and_labels("test")
        return {
            name: plane_figure(
                f"Predicted classes on random planes, {name.replace('_', ' ')}",
                1 / float(name.removeprefix("zoom_")),
                data.num_classes,
                [value[name]["labels"] for value in values],
                [images[index] for index in record["image_indices"]],
                [value[name]["boundary_distance"] for value in values],
                [f"boundary length {value[name]['boundary_length']:,.0f}" for value in values],
            )
            for name in record["zoom_levels"]
        }
