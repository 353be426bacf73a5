"""One class map at each zoom level: ours beside the naive way, on a trained network."""

import resource
from collections.abc import Iterator
from functools import partial
from typing import Any, NamedTuple, cast

import torch
import torchvision
from torch import Tensor

from benchmarks.race import Work, race
from benchmarks.source import Source
from benchmarks.table import Row
from regularizer_collection.backbones import ResNet18
from regularizer_collection.functional import ClassMap, classify_plane_with_error

ZOOM_LEVELS = (0.025, 0.01, 0.001)
WAYS: dict[str, dict[str, Any]] = {
    "exact": {"mode": "exact"},
    "adaptive, every 4th point": {"coarse_step": 4},
    "adaptive, every 8th point": {"coarse_step": 8},
}


class Problem(NamedTuple):
    """A trained network's state dict, and the first plane of every evaluation through it.

    Attributes:
        weights: State dict of the backbone.
        image: Normalised image [3, height, width].
        directions: Two directions [2, 3, height, width].
    """

    weights: dict[str, Tensor]
    image: Tensor
    directions: Tensor


def naive(problem: Problem, zoom: float, resolution: int) -> Work:
    """A meshgrid of the whole plane, NCHW, in ten chunks, softmax, then max."""
    network = torchvision.models.resnet18(num_classes=100)
    network.load_state_dict({name: value.contiguous() for name, value in problem.weights.items()})
    network.eval()
    image, directions = problem.image.contiguous(), problem.directions
    coordinates = torch.linspace(-1 / zoom, 1 / zoom, resolution)

    @torch.no_grad()
    def work() -> Tensor:
        down, across = torch.meshgrid(coordinates, coordinates, indexing="ij")
        points = (
            image
            + across.reshape(-1, 1, 1, 1) * directions[0]
            + down.reshape(-1, 1, 1, 1) * directions[1]
        )
        labels = [network(chunk).softmax(1).max(1).indices for chunk in points.chunk(10)]
        return torch.cat(labels).view(resolution, resolution)

    return work


def ours(problem: Problem, zoom: float, resolution: int, settings: dict[str, Any]) -> Work:
    """The function that the evaluation calls."""
    network = ResNet18()
    network.load_state_dict(problem.weights)
    arguments = (network.folded(), problem.image, problem.directions, zoom, resolution)
    return lambda: classify_plane_with_error(*arguments, **settings)


def rows(source: Source, quick: bool) -> Iterator[Row]:
    """Times every way at every zoom level, compares the maps, and lets the resolution grow."""
    resolution = 60 if quick else 250
    problem = Problem(source.weights(), *source.plane())
    for zoom in ZOOM_LEVELS:
        plane = (problem, zoom, resolution)
        ways = {way: partial(ours, *plane, settings) for way, settings in WAYS.items()}
        timed = race(ways, {"naive": partial(naive, *plane)}, repeats=1, warm_ups=0)
        peer, truth = timed["naive"]
        for way in WAYS:
            class_map = cast(ClassMap, timed[way].value)
            differ = int((class_map.labels != cast(Tensor, truth)).sum())
            yield Row(
                f"plane of {resolution}x{resolution}, zoom {zoom}, {way}",
                timed[way].seconds,
                "torchvision, the whole plane",
                peer,
                remark=f"{100 * class_map.evaluated_share:.1f} % evaluated, {differ} points differ",
            )
    yield from growth_rows(problem, quick)


def with_peak_memory(problem: Problem, zoom: float, resolution: int) -> Work:
    """Classifies a plane and returns the evaluated share and the memory it took in GB."""
    classify = ours(problem, zoom, resolution, {})
    before = _peak_memory()

    def work() -> tuple[float, float]:
        class_map = cast(ClassMap, classify())
        return class_map.evaluated_share, _peak_memory() - before

    return work


def _peak_memory() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9


def growth_rows(problem: Problem, quick: bool) -> Iterator[Row]:
    """Times and weighs the adaptive way at growing resolutions."""
    zoom = ZOOM_LEVELS[1]
    sides = (50, 100, 200) if quick else (250, 500, 1000)
    works = {str(side): partial(with_peak_memory, problem, zoom, side) for side in sides}
    for side, timed in race(works, {}, repeats=1, warm_ups=0).items():
        share, memory = cast(tuple[float, float], timed.value)
        yield Row(
            f"plane of {side}x{side}, zoom {zoom}, adaptive",
            timed.seconds,
            remark=f"{100 * share:.1f} % evaluated, {memory:.2f} GB of memory",
        )
