"""Total variation of a map of predicted classes [height, width], as the source experiment took it.

Both are those of the class indices taken as grey values, so they depend on how the classes are
numbered. A label that stands for "no class" counts as one more class.
"""

import torch
from torch import Tensor

from regularizer_collection.functional.boundaries import as_class_map


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
    labels = as_class_map(labels)
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
    labels = as_class_map(labels)
    return float(labels.diff(dim=0).abs().sum() + labels.diff(dim=1).abs().sum())


def expected_anisotropic_tv(boundary_length: float, num_classes: int) -> float:
    """Averages the anisotropic total variation over all numberings of the classes.

    Two different classes are (num_classes + 1) / 3 apart on average, so this is that many times the
    boundary length.

    Args:
        boundary_length: Boundary length of the map, in pixel edges.
        num_classes: Number of classes, of which any may have any number.
    """
    return (num_classes + 1) / 3 * boundary_length
