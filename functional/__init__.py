"""The mathematics, as pure functions on tensors."""

from functional.adaptive_map import ClassMap
from functional.batch_norm import batch_norm
from functional.convolution import conv2d
from functional.jacobian import jacobian_norm_squared
from functional.planes import (
    classify_plane,
    classify_plane_with_error,
    plane_points,
    random_directions,
)
from functional.singular_values import bound_singular_values_, singular_values
from functional.statistics import confidence_interval
from functional.total_variation import (
    anisotropic_tv,
    boundary_distance,
    boundary_length,
    isotropic_tv,
)

__all__ = [
    "ClassMap",
    "anisotropic_tv",
    "batch_norm",
    "bound_singular_values_",
    "boundary_distance",
    "boundary_length",
    "classify_plane",
    "classify_plane_with_error",
    "confidence_interval",
    "conv2d",
    "isotropic_tv",
    "jacobian_norm_squared",
    "plane_points",
    "random_directions",
    "singular_values",
]
