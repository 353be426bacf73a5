"""Planes through the input space and the classes on them."""

import math

import pytest
import torch
from torch import Tensor, nn

from regularizer_collection.functional.planes import (
    classify_plane,
    classify_plane_with_error,
    plane_points,
    random_directions,
)

SHAPE = (3, 8, 8)


@pytest.fixture
def image() -> Tensor:
    return torch.randn(SHAPE, generator=torch.Generator().manual_seed(1))


@pytest.fixture
def directions() -> Tensor:
    return random_directions(SHAPE, torch.Generator().manual_seed(2))


class Double(nn.Module):
    """Computes in float64, so that no class hangs on the order in which a sum is taken."""

    def __init__(self, *layers: nn.Module) -> None:
        super().__init__()
        self.layers = nn.Sequential(*layers).double().eval()

    def forward(self, points: Tensor) -> Tensor:
        return self.layers(points.double())


def linear_model(seed: int) -> nn.Module:
    torch.manual_seed(seed)
    return Double(nn.Flatten(), nn.Linear(math.prod(SHAPE), 5))


def conv_model(seed: int) -> nn.Module:
    torch.manual_seed(seed)
    return Double(
        nn.Conv2d(3, 4, 3, stride=2, padding=1),
        nn.BatchNorm2d(4),
        nn.ReLU(),
        nn.Conv2d(4, 4, 3, stride=2, padding=1),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(16, 10),
    )


@pytest.mark.parametrize("shape", [(3, 32, 32), (1, 28, 28), (2,)])
def test_directions_are_orthonormal(shape: tuple[int, ...]) -> None:
    directions = random_directions(shape, torch.Generator().manual_seed(0))
    assert directions.shape == (2, *shape)
    assert directions.dtype == torch.float32
    rows = directions.flatten(1).double()
    torch.testing.assert_close(rows @ rows.T, torch.eye(2).double(), atol=1e-6, rtol=0)


def test_directions_are_those_of_their_generator() -> None:
    generator = torch.Generator().manual_seed(5)
    first, second = (random_directions(SHAPE, generator) for _ in range(2))
    assert not torch.equal(first, second)
    assert torch.equal(first, random_directions(SHAPE, torch.Generator().manual_seed(5)))


def test_directions_favour_no_axis() -> None:
    generator = torch.Generator().manual_seed(0)
    drawn = torch.stack([random_directions((4,), generator) for _ in range(2000)])
    torch.testing.assert_close(drawn.mean(0), torch.zeros(2, 4), atol=0.05, rtol=0)
    torch.testing.assert_close(drawn.square().mean(0), torch.full((2, 4), 0.25), atol=0.03, rtol=0)


@pytest.mark.parametrize("zoom", [0.025, 0.01, 0.001, 3.0])
@pytest.mark.parametrize("resolution", [3, 7, 49, 61])
def test_the_centre_is_the_image(
    image: Tensor, directions: Tensor, zoom: float, resolution: int
) -> None:
    centre = torch.tensor([resolution**2 // 2])
    points = plane_points(image, directions, zoom, resolution, centre)
    assert torch.equal(points, image[None])


@pytest.mark.parametrize("zoom", [0.025, 0.01, 0.001])
@pytest.mark.parametrize("resolution", [2, 5, 8])
def test_corners_and_edges(image: Tensor, directions: Tensor, zoom: float, resolution: int) -> None:
    points = plane_points(image, directions, zoom, resolution)
    assert points.shape == (resolution**2, *SHAPE)
    grid = (points - image).double().flatten(1).view(resolution, resolution, -1)
    for row in (0, -1):
        for column in (0, -1):
            assert grid[row, column].norm() == pytest.approx(math.sqrt(2) / zoom, rel=1e-5)
    spacing = 2 / zoom / (resolution - 1)
    for axis in (0, 1):
        steps = grid.diff(dim=axis).norm(dim=-1)
        torch.testing.assert_close(steps, torch.full_like(steps, spacing), rtol=1e-5, atol=0)


def test_columns_follow_the_first_direction_and_rows_the_second(
    image: Tensor, directions: Tensor
) -> None:
    resolution, zoom = 9, 0.1
    line = torch.linspace(-10, 10, resolution)
    down, across = torch.meshgrid(line, line, indexing="ij")
    expected = (
        image
        + across.reshape(-1, 1, 1, 1) * directions[0]
        + down.reshape(-1, 1, 1, 1) * directions[1]
    )
    torch.testing.assert_close(plane_points(image, directions, zoom, resolution), expected)


def test_some_points_are_those_of_all_points(image: Tensor, directions: Tensor) -> None:
    index = torch.tensor([80, 0, 17, 17])
    every = plane_points(image, directions, 0.1, 9)
    assert torch.equal(plane_points(image, directions, 0.1, 9, index), every[index])
    assert plane_points(image, directions, 0.1, 9, index[:0]).shape == (0, *SHAPE)


def test_arguments_are_left_alone(image: Tensor, directions: Tensor) -> None:
    before = image.clone(), directions.clone()
    classify_plane(linear_model(0), image, directions, 0.1, 9)
    assert torch.equal(image, before[0])
    assert torch.equal(directions, before[1])


@pytest.mark.parametrize("chunk_size", [1, 16, 500])
@pytest.mark.parametrize("mode", ["exact", "adaptive"])
def test_what_the_model_gets(image: Tensor, directions: Tensor, mode: str, chunk_size: int) -> None:
    sizes = []
    inner = conv_model(0)

    def model(points: Tensor) -> Tensor:
        sizes.append(len(points))
        assert points.is_contiguous(memory_format=torch.channels_last)
        logits = inner(points)
        assert not logits.requires_grad
        return logits

    labels = classify_plane(model, image, directions, 0.1, 9, mode, chunk_size)
    assert labels.shape == (9, 9)
    assert labels.dtype == torch.int64
    assert 1 <= min(sizes) <= max(sizes) <= chunk_size
    if mode == "exact":
        assert sum(sizes) == 81
        assert len(sizes) == math.ceil(81 / chunk_size)
    else:
        tenth = max(1, chunk_size // 10)
        levels = 4  # steps of 4, 2 and 1 point, and the sample of the rest
        assert all(size % tenth == 0 for size in sizes)
        assert 81 <= sum(sizes) <= 81 + levels * (tenth - 1)


@pytest.mark.parametrize("resolution", [2, 3, 7, 50])
def test_exact_is_the_argmax_at_every_point(
    image: Tensor, directions: Tensor, resolution: int
) -> None:
    model = conv_model(3)
    labels = classify_plane(model, image, directions, 0.05, resolution, "exact")
    with torch.no_grad():
        logits = model(plane_points(image, directions, 0.05, resolution))
    assert torch.equal(labels.flatten(), logits.argmax(1))


@pytest.mark.parametrize("resolution", [2, 3, 7, 50, 61])
@pytest.mark.parametrize("make_model", [linear_model, conv_model])
@pytest.mark.parametrize("zoom", [0.5, 0.01])
def test_adaptive_is_exact_on_smooth_maps(
    image: Tensor, directions: Tensor, make_model, resolution: int, zoom: float
) -> None:
    for seed in range(2):
        model = make_model(seed)
        exact = classify_plane(model, image, directions, zoom, resolution, "exact")
        result = classify_plane_with_error(model, image, directions, zoom, resolution)
        disagreement = (result.labels != exact).double().mean().item()
        assert disagreement <= result.disagreement_bound <= 0.005
        if make_model is linear_model:
            assert disagreement == 0


def test_linear_model_is_cheap(image: Tensor, directions: Tensor) -> None:
    result = classify_plane_with_error(linear_model(0), image, directions, 0.01, 101)
    assert len(result.labels.unique()) > 1
    assert result.evaluated_share < 0.35
    assert 0 < result.disagreement_bound < 0.005
    assert not result.redone
    assert result.non_finite == 0


def test_exact_has_no_error(image: Tensor, directions: Tensor) -> None:
    result = classify_plane_with_error(linear_model(0), image, directions, 0.01, 20, "exact")
    assert (result.evaluated_share, result.disagreement_bound, result.redone) == (1.0, 0.0, False)


@pytest.mark.parametrize("mode", ["exact", "adaptive"])
def test_chunk_size_does_not_change_the_result(
    image: Tensor, directions: Tensor, mode: str
) -> None:
    model = conv_model(1)
    results = [
        classify_plane_with_error(model, image, directions, 0.02, 50, mode, chunk_size)
        for chunk_size in (33, 500, 10_000)
    ]
    for result in results[1:]:
        assert torch.equal(result.labels, results[0].labels)
        assert result.evaluated_share == results[0].evaluated_share
        assert result.disagreement_bound == results[0].disagreement_bound


def test_islands_of_a_model_are_redone(image: Tensor, directions: Tensor) -> None:
    resolution, zoom = 101, 0.1
    first = directions[0].double()

    def stripes(points: Tensor) -> Tensor:
        # A wave as long as the coarse grid is wide: its troughs meet every line of that grid, and
        # the first class is the larger one at the crests only.
        across = ((points.double() - image) * first).flatten(1).sum(1)
        wave = torch.cos(2 * math.pi * across / (4 * 20 / (resolution - 1)))
        return torch.stack([wave, torch.full_like(wave, 0.5)], dim=1)

    exact = classify_plane(stripes, image, directions, zoom, resolution, "exact")
    result = classify_plane_with_error(stripes, image, directions, zoom, resolution)
    assert len(exact.unique()) == 2
    assert result.redone
    assert torch.equal(result.labels, exact)
    passed = classify_plane_with_error(
        stripes, image, directions, zoom, resolution, max_disagreement=1.0
    )
    assert not passed.redone
    assert (passed.labels != exact).double().mean() <= passed.disagreement_bound


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("mode", ["exact", "adaptive"])
def test_non_finite_logits_are_no_class(
    image: Tensor, directions: Tensor, mode: str, value: float
) -> None:
    model = linear_model(0)

    def broken(points: Tensor) -> Tensor:
        across = ((points - image) * directions[0]).flatten(1).sum(1)
        logits = model(points)
        logits[:, 2] = logits[:, 2].where(across < 50, value)
        return logits

    sound = classify_plane(model, image, directions, 0.01, 51, "exact")
    result = classify_plane_with_error(broken, image, directions, 0.01, 51, mode)
    # Columns lie 4 apart from -100 on, so the last 13 of 51 lie at 52 or more.
    assert (result.labels[:, -13:] == -1).all()
    assert torch.equal(result.labels[:, :-13], sound[:, :-13])
    assert result.non_finite == 51 * 13


def test_the_model_can_be_trained_afterwards(image: Tensor, directions: Tensor) -> None:
    model = linear_model(0)
    classify_plane(model, image, directions, 0.1, 5)
    assert torch.is_grad_enabled()
    assert not torch.is_inference_mode_enabled()
    model(image[None]).sum().backward()
    assert all(parameter.grad is not None for parameter in model.parameters())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"zoom": 0.0}, "zoom is 0.0; expected a positive finite number"),
        ({"zoom": -0.1}, "zoom is -0.1; expected a positive finite number"),
        ({"zoom": math.inf}, "zoom is inf; expected a positive finite number"),
        ({"zoom": math.nan}, "zoom is nan; expected a positive finite number"),
        ({"resolution": 1}, "resolution is 1; give 2 or more"),
        ({"chunk_size": 0}, "chunk_size is 0; give 1 or more"),
        ({"mode": "fast"}, "mode is 'fast'; expected 'exact' or 'adaptive'"),
        ({"coarse_step": 0}, "coarse_step is 0; give 1 or more"),
        ({"directions": torch.zeros(2, 3, 4, 4)}, r"shape \(2, 3, 4, 4\); expected \(2, 3, 8, 8\)"),
        ({"image": torch.zeros(SHAPE, dtype=torch.uint8)}, "image is torch.uint8; expected"),
    ],
)
def test_bad_input(image: Tensor, directions: Tensor, arguments: dict, message: str) -> None:
    defaults = {"image": image, "directions": directions, "zoom": 0.1, "resolution": 9}
    with pytest.raises(ValueError, match=message) as error:
        classify_plane(linear_model(0), **{**defaults, **arguments})
    assert "\n" not in str(error.value)


def test_a_plane_needs_two_dimensions() -> None:
    with pytest.raises(ValueError, match="at least two elements"):
        random_directions((1, 1, 1), torch.Generator())
