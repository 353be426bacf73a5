"""Planes through the nearest point of another class."""

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor

from regularizer_collection.callbacks.measurement import Subject
from regularizer_collection.callbacks.plane_set import PlaneSet, Values, mean_of
from regularizer_collection.functional.adaptive_map import NO_CLASS
from regularizer_collection.functional.attacks import fmn_l2
from regularizer_collection.functional.boundaries import boundary_curvature, boundary_density
from regularizer_collection.functional.checks import check_at_least
from regularizer_collection.functional.planes import (
    classify_plane_with_error,
    predicted_classes,
)
from regularizer_collection.functional.seeding import derive_seed

_REACH = 3.0  # half-width of a plane, in distances of the nearest other class


class AdversarialPlanes(PlaneSet):
    """Planes through a test image, its nearest image of another class, and a random direction.

    The first direction is that of the fast minimum-norm attack on the predicted class, the second
    random and orthogonal to it; the plane reaches three times as far as the attack went. Measures
    boundary density, distance and curvature of the nearest boundary, in input units.

    Args:
        num_planes: Number of planes, each through another test image.
        resolution: Points along each side of a plane.
        distance_steps: Steps of the attack.

    Raises:
        ValueError: If an argument is out of range.
    """

    kind = "adversarial"
    images_per_plane = 1
    is_cheap = False

    def __init__(
        self, num_planes: int = 50, resolution: int = 50, distance_steps: int = 100
    ) -> None:
        super().__init__(num_planes, resolution)
        check_at_least("distance_steps", distance_steps, 1)
        self.distance_steps = distance_steps

    def measure(self, subject: Subject, plane: list[int], number: int) -> Values:
        """Measures a plane; an image that no attack moved to another class has no boundary."""
        pixels = subject.pixels(plane)
        label = predicted_classes(subject.logits(pixels))
        if label == NO_CLASS:
            return {"boundary_density": 0.0, "distance": None, "curvature": None, "non_finite": 1}
        change = fmn_l2(subject.logits, pixels, label, self.distance_steps) - pixels
        std = change.new_tensor(subject.data.std).view(-1, 1, 1)
        toward = (change / std).squeeze(0).double()
        distance = toward.norm().item()
        if not math.isfinite(distance) or distance == 0:
            return {"boundary_density": 0.0, "distance": None, "curvature": None, "non_finite": 0}
        half_width = _REACH * distance
        class_map = classify_plane_with_error(
            subject.model,
            subject.place(subject.images(plane))[0],
            _directions(toward.cpu(), plane[0]),
            1 / half_width,
            self.resolution,
            "exact",
        )
        labels = class_map.labels
        spacing = 2 * half_width / (self.resolution - 1)
        curvature = boundary_curvature(labels, int(label), half_width, within=distance)
        return {
            "boundary_density": boundary_density(labels, (spacing, spacing)),
            "distance": distance,
            "curvature": None if math.isnan(curvature) else curvature,
            "non_finite": class_map.non_finite,
        }

    def metrics(self, record: dict[str, Any]) -> dict[str, float]:
        """Returns the mean density, and medians of distance and curvature where they are known."""
        values = record["values"]
        found = {"boundary_density/adversarial": mean_of(values["boundary_density"])}
        for name in ("distance", "curvature"):
            known = [value for value in values[name] if value is not None]
            if known:
                found[f"{name}/adversarial"] = float(np.median(known))
        return found


def _directions(toward: Tensor, index: int) -> Tensor:
    """Returns two orthonormal directions, the first given, the second drawn for the image."""
    generator = torch.Generator().manual_seed(derive_seed("adversarial plane", index))
    first = toward / toward.norm()
    drawn = torch.randn(first.shape, generator=generator, dtype=torch.float64)
    second = drawn - (drawn * first).sum() * first
    return torch.stack([first, second / second.norm()]).float()
