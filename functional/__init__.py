"""The mathematics, as pure functions on tensors."""

from regularizer_collection.functional.adaptive_map import ClassMap, pooled_bound
from regularizer_collection.functional.batch_norm import batch_norm
from regularizer_collection.functional.boundaries import (
    boundary_density,
    boundary_distance,
    boundary_length,
    num_fragments,
)
from regularizer_collection.functional.convolution import conv2d
from regularizer_collection.functional.data_planes import segment_points, triangle_plane
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
from regularizer_collection.functional.total_variation import anisotropic_tv, isotropic_tv

__all__ = [
    "ClassMap",
    "anisotropic_tv",
    "batch_norm",
    "bound_singular_values_",
    "boundary_density",
    "boundary_distance",
    "boundary_length",
    "classify_plane",
    "classify_plane_with_error",
    "confidence_interval",
    "conv2d",
    "isotropic_tv",
    "jacobian_norm_squared",
    "num_fragments",
    "plane_points",
    "pooled_bound",
    "random_directions",
    "segment_points",
    "singular_values",
    "triangle_plane",
]
