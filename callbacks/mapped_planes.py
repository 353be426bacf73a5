"""The base of the kinds of planes of which a whole class map is made."""

from typing import Any, Literal

from torch import Tensor

from regularizer_collection.callbacks.measurement import Subject
from regularizer_collection.callbacks.plane_set import PlaneSet
from regularizer_collection.functional.adaptive_map import ClassMap, pooled_bound
from regularizer_collection.functional.checks import check_at_least
from regularizer_collection.functional.planes import classify_plane_with_error


class MappedPlanes(PlaneSet):
    """Planes that are classified point by point, and how far their maps can be trusted.

    Args:
        num_planes: Number of planes.
        resolution: Points along each side of a plane.
        mode: "exact" classifies every point, "adaptive" the neighbourhood of the boundaries and a
            random sample of the rest, which bounds the error.
        chunk_size: Points classified at a time.

    Raises:
        ValueError: If an argument is out of range.
    """

    def __init__(
        self,
        num_planes: int,
        resolution: int,
        mode: Literal["adaptive", "exact"],
        chunk_size: int,
    ) -> None:
        super().__init__(num_planes, resolution)
        if mode not in ("adaptive", "exact"):
            raise ValueError(f"mode is {mode!r}; give 'adaptive' or 'exact'")
        check_at_least("chunk_size", chunk_size, 1)
        self.mode = mode
        self.chunk_size = chunk_size

    def class_map(
        self, subject: Subject, centre: Tensor, directions: Tensor, zoom: float, **adaptive: Any
    ) -> ClassMap:
        """Classifies the points of a plane, see ``classify_plane_with_error``."""
        return classify_plane_with_error(
            subject.model,
            centre,
            directions,
            zoom,
            self.resolution,
            self.mode,
            self.chunk_size,
            **adaptive,
        )

    def bounds(self, lists: dict[str, list[Any]]) -> dict[str, float]:
        """Bounds what the maps of all planes may have missed, from their samples together.

        Args:
            lists: What :func:`trust` tells of each map.

        Returns:
            Upper 95 % bounds on the share of points whose class is wrong, and on the mean length of
            boundary that a map lacks, in pixel edges.
        """
        share = pooled_bound(
            lists["num_disagreeing"], lists["num_checked"], lists["evaluated_share"]
        )
        return {"wrong_share": share, "missed_length": 4 * share * self.resolution**2}


def trust(class_map: ClassMap) -> dict[str, float]:
    """Tells how a class map was made, as far as it says how far to trust it."""
    return {
        "evaluated_share": class_map.evaluated_share,
        "redone": float(class_map.redone),
        "num_checked": class_map.num_checked,
        "num_disagreeing": class_map.num_disagreeing,
        "non_finite": float(class_map.non_finite),
    }
