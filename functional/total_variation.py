"""How much decision boundary a map of predicted classes [height, width] holds.

The two total variations are those of the class indices taken as grey values, so they depend on how
the classes are numbered; boundary length and boundary distance do not. A label that stands for "no
class" counts as one more class in all of them.
"""

import math

import torch
from torch import Tensor


def isotropic_tv(labels: Tensor) -> float:
    """Sums the length of the forward-difference gradient over all but the last row and column.

    The discretisation is the one of Rudin, Osher and Fatemi (1992), without its boundary terms.

    Args:
        labels: Integer class map [height, width]; a single row or column has the value 0.

    Returns:
        Isotropic total variation, in units of the class index.

    Raises:
        ValueError: The map is not a non-empty integer matrix.
    """
    labels = _as_int64(labels)
    corner = labels[:-1, :-1]
    across = (labels[:-1, 1:] - corner).double()
    down = (labels[1:, :-1] - corner).double()
    return torch.hypot(across, down).sum().item()


def anisotropic_tv(labels: Tensor) -> float:
    """Sums the absolute differences of all horizontal and all vertical neighbours.

    ``torchmetrics.functional.image.total_variation`` computes the same.

    Args:
        labels: Integer class map [height, width].

    Returns:
        Anisotropic total variation, in units of the class index.

    Raises:
        ValueError: The map is not a non-empty integer matrix.
    """
    labels = _as_int64(labels)
    return float(labels.diff(dim=0).abs().sum() + labels.diff(dim=1).abs().sum())


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
    labels = _as_int64(labels)
    return float(labels.diff(dim=0).count_nonzero() + labels.diff(dim=1).count_nonzero())


def boundary_distance(labels: Tensor, half_width: float) -> float:
    """Measures how far the centre pixel is from the nearest pixel of another class.

    The resolution limits it: the boundary itself lies up to one pixel spacing nearer. With an even
    number of rows or columns no pixel is at the centre; the one just after it is taken.

    Args:
        labels: Integer class map [height, width].
        half_width: Distance from the middle of the map to its outermost pixels, along both axes,
            in input units.

    Returns:
        Distance in input units; infinity where the map holds one class only.

    Raises:
        ValueError: The map is not a non-empty integer matrix, or the half-width is not a positive
            finite number.
    """
    from scipy.ndimage import distance_transform_edt  # Slow to import, and only needed here.

    labels = _as_int64(labels)
    if not 0 < half_width < math.inf:
        raise ValueError(f"half_width is {half_width}; expected a positive finite number")
    height, width = labels.shape
    centre = (height // 2, width // 2)
    is_same = labels == labels[centre]
    if is_same.all():
        return math.inf
    # A map of a single row or column has no extent along that axis, so any spacing will do.
    spacing = [2 * half_width / max(size - 1, 1) for size in (height, width)]
    return float(distance_transform_edt(is_same.numpy(), sampling=spacing)[centre])


def _as_int64(labels: Tensor) -> Tensor:
    """Brings a class map to the CPU in a type whose differences neither wrap nor overflow."""
    if labels.dim() != 2 or not labels.numel() or labels.is_floating_point():
        raise ValueError(
            f"got a class map of shape {tuple(labels.shape)} and type {labels.dtype}; "
            "expected non-empty [height, width] of an integer type"
        )
    return labels.detach().to("cpu", torch.int64)
