"""Segments between images of the data."""

from typing import Any

from regularizer_collection.callbacks.measurement import Subject
from regularizer_collection.callbacks.plane_set import PlaneSet, Values, mean_of
from regularizer_collection.functional.adaptive_map import NO_CLASS
from regularizer_collection.functional.data_planes import segment_points
from regularizer_collection.functional.planes import predicted_classes


class Segments(PlaneSet):
    """Straight lines between two test images, on which changes of the predicted class are counted.

    It is the cheapest look at boundaries: a few forward passes, no map.

    Args:
        num_planes: Number of segments.
        resolution: Points on each, both images included.

    Raises:
        ValueError: If an argument is out of range.
    """

    kind = "segments"
    images_per_plane = 2

    def __init__(self, num_planes: int = 1000, resolution: int = 50) -> None:
        super().__init__(num_planes, resolution)

    def measure(self, subject: Subject, plane: list[int], number: int) -> Values:
        """Counts the changes on one segment."""
        ends = subject.images(plane)
        points = subject.place(segment_points(ends, self.resolution))
        labels = predicted_classes(subject.model(points))
        return {
            "class_changes": int(labels.diff().count_nonzero()),
            "length": float((ends[1] - ends[0]).norm()),
            "non_finite": int((labels == NO_CLASS).sum()),
        }

    def metrics(self, record: dict[str, Any]) -> dict[str, float]:
        """Returns the mean over segments."""
        return {"class_changes/segments": mean_of(record["values"]["class_changes"])}
