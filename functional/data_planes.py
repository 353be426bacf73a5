"""Planes and segments between images of the data."""

from typing import NamedTuple

import torch
from torch import Tensor


class TrianglePlane(NamedTuple):
    """The part of a plane around a triangle of images, in the terms of ``plane_points`` at zoom 1.

    Attributes:
        centre: Middle of the box around the triangle [channels, height, width].
        directions: Orthogonal directions [2, channels, height, width], from the middle of the box
            to the middle of two of its sides.
        half_widths: Their lengths, in input units: across and down.
    """

    centre: Tensor
    directions: Tensor
    half_widths: tuple[float, float]

    def spacing(self, resolution: int) -> tuple[float, float]:
        """Returns the distance of neighbours in a column and in a row of a map, in input units."""
        across, down = (2 * half / (resolution - 1) for half in self.half_widths)
        return down, across


def triangle_plane(corners: Tensor, margin: float = 0.1) -> TrianglePlane:
    """Lays a plane through three images (Somepalli et al. 2022, "Can neural nets ... twice?").

    The first direction leads from the first to the second image, the second is what is orthogonal
    to it in the way to the third (Gram-Schmidt, in float64). Points of the triangle are mixtures of
    the three images; the rest of the box around it is not far.

    Args:
        corners: Images [3, channels, height, width], in the units of the model's input.
        margin: Share of the triangle's extent that is added to the box at each side.

    Returns:
        The plane, float32.

    Raises:
        ValueError: The images lie on a line.
    """
    across, unit_across, foot, up = _sides(corners)
    if not spans_plane(corners):
        raise ValueError("the three images of a plane lie on a line; give images that differ")
    first = corners[0].double()
    unit_up = up / up.norm()
    along = torch.stack([foot.new_zeros(()), across.norm(), foot])
    low, high, height = along.min(), along.max(), up.norm()
    halves = (0.5 + margin) * torch.stack([high - low, height])
    centre = first + (low + high) / 2 * unit_across + height / 2 * unit_up
    directions = torch.stack([halves[0] * unit_across, halves[1] * unit_up])
    return TrianglePlane(centre.float(), directions.float(), (halves[0].item(), halves[1].item()))


def spans_plane(corners: Tensor) -> bool:
    """Tells whether three images [3, channels, height, width] lie on no line."""
    across, _, _, up = _sides(corners)
    return bool(up.norm() > 1e-6 * across.norm())  # NaN where the first two are equal


def _sides(corners: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Returns the first side, its direction, and the third image's foot on and way from it."""
    first, second, third = corners.double()
    across = second - first
    unit_across = across / across.norm()
    up = third - first
    foot = (up * unit_across).sum()
    return across, unit_across, foot, up - foot * unit_across


def segment_points(ends: Tensor, num_points: int) -> Tensor:
    """Places points evenly from one image to another, both included.

    Args:
        ends: Images [2, channels, height, width].
        num_points: Number of points, 2 or more.

    Returns:
        Points [points, channels, height, width].
    """
    weights = torch.linspace(0, 1, num_points, dtype=ends.dtype, device=ends.device)
    return torch.lerp(ends[:1], ends[1:], weights.view(-1, 1, 1, 1))
