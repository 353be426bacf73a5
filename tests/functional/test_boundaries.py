"""Boundary length, density, distance and fragments of class maps."""

import math

import networkx
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from torch import Tensor

from regularizer_collection.functional.boundaries import (
    boundary_curvature,
    boundary_density,
    boundary_distance,
    boundary_length,
    num_fragments,
)

NUM_CLASSES = 100


def maps_of(shapes, num_classes):
    elements = st.integers(0, num_classes - 1)
    return hnp.arrays("int64", shapes, elements=elements).map(torch.from_numpy)


rectangles = hnp.array_shapes(min_dims=2, max_dims=2, max_side=9)
squares = st.integers(2, 9).map(lambda side: (side, side))
maps = maps_of(rectangles, NUM_CLASSES)
coarse_maps = maps_of(rectangles, 3)
fast = settings(deadline=None, max_examples=60)


@fast
@given(maps, st.randoms(use_true_random=False))
def test_boundary_measures_do_not_depend_on_the_numbering(labels: Tensor, random) -> None:
    numbers = list(range(NUM_CLASSES))
    random.shuffle(numbers)
    renumbered = torch.tensor(numbers)[labels]
    assert boundary_length(renumbered) == boundary_length(labels)
    assert boundary_distance(renumbered, 40.0) == boundary_distance(labels, 40.0)


def disc(resolution: int, radius: float, half_width: float = 10.0) -> Tensor:
    """A network that is known: one class within a circle, another outside."""
    axis = torch.linspace(-half_width, half_width, resolution, dtype=torch.float64)
    return (torch.hypot(axis[:, None], axis) < radius).long()


@pytest.mark.parametrize("resolution", [50, 100, 200])
def test_density_of_a_circle_is_its_circumference_over_the_area_at_every_resolution(resolution):
    density = boundary_density(disc(resolution, 6.0), (20 / (resolution - 1),) * 2)
    assert density == pytest.approx(2 * math.pi * 6 / 20**2, rel=0.02)


def test_density_of_many_straight_lines_is_their_length_over_the_area():
    generator = torch.Generator().manual_seed(0)
    for resolution in (50, 100, 200):
        axis = torch.linspace(-1, 1, resolution, dtype=torch.float64)
        down, across = torch.meshgrid(axis, axis, indexing="ij")
        estimates = []
        for _ in range(300):  # of one line through the middle, of length 2 in a disc of radius 1
            angle = math.pi * torch.rand((), generator=generator)
            labels = (across * angle.cos() + down * angle.sin() > 0).long()
            length = 2 / max(abs(angle.cos()), abs(angle.sin()))
            step = 2 / (resolution - 1)
            estimates.append(boundary_density(labels, (step, step)) / (length / 4))
        estimates = torch.tensor(estimates)
        error = estimates.std() / math.sqrt(len(estimates))
        assert abs(estimates.mean() - 1) < 4 * error


def test_density_scales_with_the_spacing_of_each_axis():
    labels = torch.tensor([[0, 0], [1, 1]])  # both pairs in columns differ, none in rows
    assert boundary_density(labels, (0.5, 7.0)) == pytest.approx(math.pi / 4 / 0.5)
    assert boundary_density(labels.T, (0.5, 7.0)) == pytest.approx(math.pi / 4 / 7)


@fast
@given(maps_of(squares, NUM_CLASSES))
def test_density_is_the_formula_of_cauchy_and_crofton(labels: Tensor) -> None:
    size, step = len(labels), 0.3
    area = size * step * (size - 1) * step
    expected = math.pi / 4 * step * boundary_length(labels) / area
    assert boundary_density(labels, (step, step)) == pytest.approx(expected)


@pytest.mark.parametrize("spacing", [(0.0, 1.0), (1.0, math.inf), (math.nan, 1.0)])
def test_density_refuses_a_spacing_out_of_range(spacing):
    with pytest.raises(ValueError, match="expected two positive finite numbers"):
        boundary_density(torch.zeros(2, 2, dtype=torch.long), spacing)


def test_density_refuses_a_map_of_one_row():
    with pytest.raises(ValueError, match=r"got a class map of \(1, 3\); expected 2 x 2 or more"):
        boundary_density(torch.zeros(1, 3, dtype=torch.long), (1.0, 1.0))


def test_distance_to_a_half_plane() -> None:
    labels = torch.zeros(11, 11, dtype=torch.long)
    labels[:, 8:] = 3
    # 11 pixels over [-100, 100] are 20 apart; column 8 is 3 pixels right of the centre.
    assert boundary_distance(labels, 100.0) == pytest.approx(60)
    assert boundary_distance(labels.T, 100.0) == pytest.approx(60)


def test_distance_is_euclidean_and_to_any_other_class() -> None:
    labels = torch.full((11, 11), 9)
    labels[8, 1] = 2
    assert boundary_distance(labels, 5.0) == pytest.approx(5.0)
    labels[5, 9] = 4
    assert boundary_distance(labels, 5.0) == pytest.approx(4.0)


def test_distance_uses_the_spacing_of_each_axis() -> None:
    labels = torch.zeros(3, 5, dtype=torch.long)
    labels[0, 2] = 1
    assert boundary_distance(labels, 10.0) == pytest.approx(10.0)
    labels[1, 3] = 1
    assert boundary_distance(labels, 10.0) == pytest.approx(5.0)
    assert boundary_distance(labels[1:2], 10.0) == pytest.approx(5.0)


@fast
@given(maps, st.floats(0.1, 1000))
def test_distance_against_every_pixel(labels: Tensor, half_width: float) -> None:
    height, width = labels.shape
    distances = [
        math.hypot(
            (i - (height - 1) / 2) * 2 * half_width / max(height - 1, 1),
            (j - (width - 1) / 2) * 2 * half_width / max(width - 1, 1),
        )
        for i in range(height)
        for j in range(width)
        if labels[i, j] != labels[height // 2, width // 2]
    ]
    expected = min(distances, default=math.inf)
    assert boundary_distance(labels, half_width) == pytest.approx(expected)


@pytest.mark.parametrize("resolution", [4, 250])
def test_distance_of_an_even_map_is_from_the_image_between_its_points(resolution: int) -> None:
    labels = torch.zeros(resolution, resolution, dtype=torch.long)
    labels[:, resolution // 2 :] = 1  # from half a spacing right of the image on
    step = 20.0 / (resolution - 1)
    expected = math.hypot(step / 2, step / 2)
    assert boundary_distance(labels, 10.0, image_label=0) == pytest.approx(expected)
    assert boundary_distance(labels.T, 10.0, image_label=0) == pytest.approx(expected)


def test_distance_where_no_point_has_the_class_of_the_image() -> None:
    labels = torch.zeros(4, 4, dtype=torch.long)
    assert boundary_distance(labels, 1.5, image_label=9) == pytest.approx(math.hypot(0.5, 0.5))


def test_distance_without_a_boundary_is_infinite() -> None:
    assert boundary_distance(torch.full((5, 5), 42), 100.0) == math.inf
    assert boundary_distance(torch.full((1, 1), 42), 100.0) == math.inf


@pytest.mark.parametrize("half_width", [0.0, -1.0, math.inf, math.nan])
def test_half_width_out_of_range(half_width: float) -> None:
    with pytest.raises(ValueError, match="expected a positive finite number"):
        boundary_distance(torch.zeros(3, 3, dtype=torch.long), half_width)


@pytest.mark.parametrize(
    ("rows", "fragments"),
    [
        ([[5]], 1),
        ([[1, 1], [1, 1]], 1),
        ([[0, 1], [1, 0]], 4),  # corners do not connect
        ([[0, 0, 0], [0, 1, 0], [0, 0, 0]], 2),
        ([[0, 1, 0], [0, 1, 0], [0, 1, 2]], 4),
    ],
)
def test_fragments_by_hand(rows: list, fragments: int) -> None:
    assert num_fragments(torch.tensor(rows)) == fragments


@fast
@given(coarse_maps)
def test_fragments_are_the_components_of_the_graph_of_equal_neighbours(labels: Tensor) -> None:
    height, width = labels.shape
    graph = networkx.Graph()
    graph.add_nodes_from((i, j) for i in range(height) for j in range(width))
    for i in range(height):
        for j in range(width):
            for other in ((i + 1, j), (i, j + 1)):
                if other in graph and labels[i, j] == labels[other]:
                    graph.add_edge((i, j), other)
    assert num_fragments(labels) == networkx.number_connected_components(graph)


@pytest.mark.parametrize(
    "labels",
    [torch.zeros(3, dtype=torch.long), torch.zeros(2, 2), torch.zeros(0, 3, dtype=torch.long)],
)
@pytest.mark.parametrize(
    "measure",
    [
        boundary_length,
        num_fragments,
        lambda labels: boundary_distance(labels, 1.0),
        lambda labels: boundary_density(labels, (1.0, 1.0)),
    ],
)
def test_not_a_class_map(measure, labels: Tensor) -> None:
    with pytest.raises(ValueError, match=r"got a class map of shape .*; expected non-empty"):
        measure(labels)


@pytest.mark.parametrize("radius", [2.0, 5.0])
@pytest.mark.parametrize("side", [1, -1])
def test_the_curvature_of_a_circle_is_one_over_its_radius(radius, side):
    """The image lies in the middle, 1 from the circle: inside it, or outside."""
    x = torch.linspace(-3, 3, 601, dtype=torch.float64)
    centre = 1 - radius if side > 0 else 1 + radius
    distance = ((x[None] - centre).square() + x[:, None].square()).sqrt()
    labels = ((distance > radius) if side > 0 else (distance < radius)).long()
    found = boundary_curvature(labels, 0, 3.0, within=1.0)
    assert found == pytest.approx(-side / radius, rel=0.1)


def test_a_straight_boundary_has_no_curvature_and_none_no_number():
    x = torch.linspace(-3, 3, 61)
    straight = (x[None] + 0.3 * x[:, None] > 1).long()
    assert abs(boundary_curvature(straight, 0, 3.0, within=1.0)) < 0.05
    assert math.isnan(boundary_curvature(torch.zeros(61, 61).long(), 0, 3.0, within=1.0))
