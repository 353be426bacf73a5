"""How much decision boundary a map of predicted classes [height, width] holds.

Nothing here depends on how the classes are numbered. A label that stands for "no class" counts as
one more class.
"""

import math

import numpy as np
import torch
from torch import Tensor


def boundary_length(labels: Tensor) -> float:
    """Counts the pairs of horizontal or vertical neighbours whose classes differ.

    It is half the anisotropic total variation of the one-hot map.

    Args:
        labels: Integer class map [height, width].

    Returns:
        Length of the decision boundary, in pixel edges.

    Raises:
        ValueError: The map is not a non-empty integer matrix.
    """
    labels = as_class_map(labels)
    return float(labels.diff(dim=0).count_nonzero() + labels.diff(dim=1).count_nonzero())


def boundary_density(labels: Tensor, spacing: tuple[float, float]) -> float:
    """Estimates the length of boundary per area, which does not depend on the resolution.

    A line in direction u crosses a curve |u x t| times per unit of its length, t being the curve's
    tangent; over all directions that is 2 / pi (Cauchy and Crofton). Rows and columns are such
    lines, so density = pi / 4 times the sum over both axes of the share of neighbours that differ
    divided by their spacing: pi / 4 x spacing x unequal pairs / area for equal spacings.

    Args:
        labels: Integer class map [height, width], two or more points along each axis.
        spacing: Distance of neighbours in a column and in a row, in input units.

    Returns:
        Density in 1 / input units.

    Raises:
        ValueError: The map is not an integer matrix of 2 x 2 points or more, or a spacing is not a
            positive finite number.
    """
    labels = as_class_map(labels)
    if min(labels.shape) < 2:
        raise ValueError(f"got a class map of {tuple(labels.shape)}; expected 2 x 2 or more points")
    if not all(0 < step < math.inf for step in spacing):
        raise ValueError(f"spacing is {spacing}; expected two positive finite numbers")
    shares = ((labels.diff(dim=axis) != 0).double().mean().item() for axis in (0, 1))
    return math.pi / 4 * sum(share / step for share, step in zip(shares, spacing, strict=True))


def boundary_distance(labels: Tensor, half_width: float, image_label: int | None = None) -> float:
    """Measures how far the middle of the map is from the nearest point of another class.

    The resolution limits it: the boundary itself lies up to one spacing nearer.

    Args:
        labels: Integer class map [height, width].
        half_width: Distance from the middle of the map to its outermost points, along both axes,
            in input units.
        image_label: Class of what is in the middle; None takes that of the point there, or for even
            numbers of points, where none is, that of the point just after it.

    Returns:
        Distance in input units; infinity where no point has another class.

    Raises:
        ValueError: The map is not a non-empty integer matrix, or the half-width is not a positive
            finite number.
    """
    labels = as_class_map(labels)
    if not 0 < half_width < math.inf:
        raise ValueError(f"half_width is {half_width}; expected a positive finite number")
    height, width = labels.shape
    if image_label is None:
        image_label = int(labels[height // 2, width // 2])
    down, across = (
        torch.linspace(-half_width, half_width, size, dtype=torch.float64)
        if size > 1
        else torch.zeros(1, dtype=torch.float64)
        for size in (height, width)
    )
    distances = torch.hypot(down[:, None], across)[labels != image_label]
    return distances.min().item() if len(distances) else math.inf


def num_fragments(labels: Tensor) -> int:
    """Counts the regions of one class each, connected through neighbours in rows and columns.

    Args:
        labels: Integer class map [height, width].

    Returns:
        Number of connected components of all classes together.

    Raises:
        ValueError: The map is not a non-empty integer matrix.
    """
    from scipy.ndimage import label  # Slow to import, and only needed here.

    classes = as_class_map(labels).numpy()
    return sum(label(classes == number)[1] for number in np.unique(classes))


def as_class_map(labels: Tensor) -> Tensor:
    """Brings a class map to the CPU in a type whose differences neither wrap nor overflow.

    Raises:
        ValueError: The map is not a non-empty integer matrix.
    """
    if labels.dim() != 2 or not labels.numel() or labels.is_floating_point():
        raise ValueError(
            f"got a class map of shape {tuple(labels.shape)} and type {labels.dtype}; "
            "expected non-empty [height, width] of an integer type"
        )
    return labels.detach().to("cpu", torch.int64)


def boundary_curvature(labels: Tensor, label: int, half_width: float, within: float) -> float:
    """Fits a parabola to the boundary that is met along the first direction.

    In the rows within a distance of the middle row, the first change from the label to the right of
    the middle is at offset(t) = d + curvature * t^2 / 2, t the coordinate of the row, up to a slope
    that is fitted too. Above 0 the boundary bends away from the image, below 0 around it.

    Args:
        labels: Class map [resolution, resolution], rows along the second direction.
        label: Class of the image in the middle.
        half_width: Half-width of the plane in input units.
        within: Largest coordinate of the rows that count, in input units.

    Returns:
        Curvature (1 / input unit); NaN if fewer than five rows meet a boundary.
    """
    resolution = len(labels)
    coordinates = torch.linspace(-half_width, half_width, resolution, dtype=torch.float64)
    right = labels[:, coordinates >= 0] != label
    first = right.int().argmax(1)
    is_met = right.any(1) & (coordinates.abs() <= within)
    if is_met.sum() < 5:
        return math.nan
    spacing = 2 * half_width / (resolution - 1)
    # Between the last column of the label and the first of another.
    offset = coordinates[coordinates >= 0][first[is_met]] - spacing / 2
    t = coordinates[is_met]
    terms = torch.stack([torch.ones_like(t), t, t.square() / 2], 1)
    return torch.linalg.lstsq(terms, offset[:, None]).solution[2].item()
