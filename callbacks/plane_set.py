"""The base of the kinds of planes."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import torch
from matplotlib.figure import Figure
from pytorch_lightning.utilities import rank_zero_info, rank_zero_warn

from regularizer_collection.callbacks.measurement import Subject
from regularizer_collection.datamodules.image_data_module import ImageDataModule
from regularizer_collection.functional.checks import check_at_least
from regularizer_collection.functional.seeding import derive_seed

Values = dict[str, Any]


class PlaneSet(ABC):
    """Planes of one kind: drawn from a seed, measured one by one, summed up.

    Args:
        num_planes: Number of planes.
        resolution: Points along each side of one.

    Raises:
        ValueError: If an argument is out of range.
    """

    kind: ClassVar[str]
    """Name in the record and in the names of metrics."""
    images_per_plane: ClassVar[int]
    """Test images that span one."""
    is_cheap: ClassVar[bool] = True
    """Whether it can be afforded after every epoch."""

    def __init__(self, num_planes: int, resolution: int) -> None:
        check_at_least("num_planes", num_planes, 1)
        check_at_least("resolution", resolution, 2)
        self.num_planes = num_planes
        self.resolution = resolution

    def draw(self, num_images: int, image_shape: Sequence[int], seed: int) -> list[Any]:
        """Draws the planes, the same for the same seed and data; more begin with the same ones.

        Args:
            num_images: Number of test images to choose from.
            image_shape: Shape of a normalised image.
            seed: Seed of the planes.

        Returns:
            The indices of the test images of each plane.
        """
        return [
            torch.randperm(
                num_images, generator=torch.Generator().manual_seed(derive_seed(self.kind, seed, n))
            )[: self.images_per_plane].tolist()
            for n in range(self.num_planes)
        ]

    def check(self, num_images: int) -> None:
        """Refuses more planes than test images, before anything is trained.

        Raises:
            ValueError: If there are fewer images than planes, or than one plane takes.
        """
        if max(self.num_planes, self.images_per_plane) > num_images:
            raise ValueError(
                f"num_planes is {self.num_planes} for {self.kind} planes, the test split has "
                f"{num_images} images; give fewer planes"
            )

    @abstractmethod
    def measure(self, subject: Subject, plane: Any, number: int) -> Values:
        """Measures one plane."""

    def sum_up(self, planes: Sequence[Any], values: Sequence[Values]) -> dict[str, Any]:
        """Returns what goes into the record of the planes that were measured."""
        lists = columns(values)
        report_doubts(f"{self.kind} planes", lists)
        return {
            "resolution": self.resolution,
            "image_indices": list(planes),
            "missing_planes": self.num_planes - len(planes),
            "values": lists,
        }

    @abstractmethod
    def metrics(self, record: dict[str, Any]) -> dict[str, float]:
        """Returns the means that are logged, by ``<measure>/<planes>``."""

    def figures(
        self, record: dict[str, Any], values: Sequence[Values], data: ImageDataModule
    ) -> dict[str, Figure]:
        """Draws the planes; none by default."""
        return {}


def report_doubts(planes: str, lists: Mapping[str, Sequence[float]]) -> None:
    """Says which maps were redone, and where logits were not finite."""
    if redone := sum(lists.get("redone", ())):
        rank_zero_info(
            f"{planes}: {redone:.0f} planes redone exactly, their error bound was too high"
        )
    if non_finite := sum(lists.get("non_finite", ())):
        rank_zero_warn(f"{planes}: {non_finite:.0f} points without a class, logits are not finite")


def columns(values: Sequence[Values], leave_out: Sequence[str] = ()) -> dict[str, list[Any]]:
    """Turns the values of each plane into lists, one for each measure."""
    return {key: [value[key] for value in values] for key in values[0] if key not in leave_out}


def mean_of(values: Sequence[float]) -> float:
    """Averages."""
    return sum(values) / len(values)
