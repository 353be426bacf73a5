"""Planes through images of the data."""

from collections.abc import Sequence
from typing import Any, Literal

import torch
from torch import Tensor

from regularizer_collection.callbacks.mapped_planes import MappedPlanes, trust
from regularizer_collection.callbacks.measurement import Subject
from regularizer_collection.callbacks.plane_set import Values, columns, mean_of, report_doubts
from regularizer_collection.functional.adaptive_map import ClassMap
from regularizer_collection.functional.boundaries import boundary_density, num_fragments
from regularizer_collection.functional.data_planes import spans_plane, triangle_plane
from regularizer_collection.functional.packed_maps import encode_map

_NUM_CHECKED = 50


class DataPlanes(MappedPlanes):
    """Planes through three test images each (Somepalli et al. 2022).

    Measures boundary density, the primary measure of boundaries here, and fragmentation: the number
    of connected regions of one class. The extent of a plane is that of its images, so it has no
    zoom. Maps are kept, so that a report can tell how alike those of two networks are.

    Args:
        num_planes: Number of planes.
        resolution: Points along each side of a plane.
        mode: "exact" classifies every point, "adaptive" the neighbourhood of the boundaries and a
            random sample of the rest, which together bound the error.
        chunk_size: Points classified at a time.

    Raises:
        ValueError: If an argument is out of range.
    """

    kind = "data"
    images_per_plane = 3

    def __init__(
        self,
        num_planes: int = 200,
        resolution: int = 50,
        mode: Literal["adaptive", "exact"] = "adaptive",
        chunk_size: int = 500,
    ) -> None:
        super().__init__(num_planes, resolution, mode, chunk_size)

    def measure(self, subject: Subject, plane: list[int], number: int) -> Values:
        """Measures a plane; images that lie on a line span none, which counts as no boundary."""
        corners = subject.images(plane)
        if not spans_plane(corners):
            return self._without_boundary(subject.model(subject.place(corners[:1])).argmax())
        box = triangle_plane(corners)
        # So small a sample bounds no single map; together those of 200 maps bound their mean.
        adaptive = {"seed": number, "num_checked": _NUM_CHECKED, "max_disagreement": 1.0}
        centre = subject.place(box.centre)
        class_map = self.class_map(subject, centre, box.directions, 1.0, **adaptive)
        return {
            "labels": class_map.labels.short(),
            "boundary_density": boundary_density(class_map.labels, box.spacing(self.resolution)),
            "num_fragments": num_fragments(class_map.labels),
            **trust(class_map),
        }

    def _without_boundary(self, label: Tensor) -> Values:
        labels = label.cpu().short().expand(self.resolution, self.resolution)
        found = {"labels": labels, "boundary_density": 0.0, "num_fragments": 1}
        return found | trust(ClassMap(labels))

    def sum_up(self, planes: Sequence[list[int]], values: Sequence[Values]) -> dict[str, Any]:
        """Returns the values and maps of each plane, and what their samples say together."""
        lists = columns(values, leave_out=["labels"])
        report_doubts("data planes", lists)
        return {
            "resolution": self.resolution,
            "mode": self.mode,
            "image_indices": list(planes),
            "missing_planes": self.num_planes - len(planes),
            "values": lists,
            "bounds_95": self.bounds(lists),
            "class_maps": encode_map(torch.stack([value["labels"] for value in values])),
        }

    def metrics(self, record: dict[str, Any]) -> dict[str, float]:
        """Returns means over planes."""
        measures = ("boundary_density", "num_fragments")
        return {f"{name}/data": mean_of(record["values"][name]) for name in measures}
