"""The mathematics, as pure functions on tensors."""

from regularizer_collection.functional.adaptive_map import ClassMap
from regularizer_collection.functional.batch_norm import batch_norm
from regularizer_collection.functional.convolution import conv2d
from regularizer_collection.functional.jacobian import jacobian_norm_squared
from regularizer_collection.functional.planes import (
    classify_plane,
    classify_plane_with_error,
    plane_points,
    random_directions,
)
from regularizer_collection.functional.singular_values import (
    bound_singular_values_,
    singular_values,
)
from regularizer_collection.functional.statistics import confidence_interval
from regularizer_collection.functional.total_variation import (
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
