"""Planes and segments between images."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from regularizer_collection.functional.data_planes import segment_points, triangle_plane
from regularizer_collection.functional.planes import plane_points


def corners_from(seed: int) -> torch.Tensor:
    return torch.randn(3, 3, 4, 5, generator=torch.Generator().manual_seed(seed))


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 10**6), st.sampled_from([0.0, 0.1, 0.5]))
def test_the_box_holds_the_triangle_with_the_margin_around_it(seed: int, margin: float) -> None:
    corners = corners_from(seed)
    plane = triangle_plane(corners, margin)
    # Coordinates of the corners in units of the box, whose sides are at -1 and +1.
    halves = torch.tensor(plane.half_widths)
    units = plane.directions / halves.view(2, 1, 1, 1)
    offsets = (corners - plane.centre)[:, None]
    coordinates = (offsets * units).sum((2, 3, 4)) / halves
    inner = 0.5 / (0.5 + margin)
    torch.testing.assert_close(coordinates.amax(0), torch.full((2,), inner), atol=1e-4, rtol=0)
    torch.testing.assert_close(coordinates.amin(0), torch.full((2,), -inner), atol=1e-4, rtol=0)
    # The corners lie in the plane.
    projected = plane.centre + torch.einsum("nk,kchw->nchw", coordinates * halves, units)
    torch.testing.assert_close(projected, corners, atol=1e-4, rtol=0)


def test_directions_are_orthogonal_and_as_long_as_the_half_widths() -> None:
    plane = triangle_plane(corners_from(0))
    flat = plane.directions.flatten(1)
    assert (flat[0] @ flat[1]).item() == pytest.approx(0, abs=1e-4)
    assert flat.norm(dim=1).tolist() == pytest.approx(plane.half_widths, rel=1e-5)


def test_neighbours_on_the_grid_are_a_spacing_apart() -> None:
    plane = triangle_plane(corners_from(1))
    grid = plane_points(plane.centre, plane.directions, 1.0, 6).reshape(6, 6, -1)
    down, across = plane.spacing(6)
    assert (grid[1, 0] - grid[0, 0]).norm().item() == pytest.approx(down, rel=1e-4)
    assert (grid[0, 1] - grid[0, 0]).norm().item() == pytest.approx(across, rel=1e-4)


@pytest.mark.parametrize("third", [0.0, 0.5, 1.0, 2.0])
def test_images_on_a_line_are_refused(third: float) -> None:
    first, second, _ = corners_from(2)
    with pytest.raises(ValueError, match="lie on a line; give images that differ"):
        triangle_plane(torch.stack([first, second, torch.lerp(first, second, third)]))


def test_two_equal_images_are_refused() -> None:
    first, _, third = corners_from(2)
    with pytest.raises(ValueError, match="lie on a line"):
        triangle_plane(torch.stack([first, first, third]))


def test_a_segment_leads_evenly_from_one_image_to_the_other() -> None:
    ends = corners_from(3)[:2]
    points = segment_points(ends, 5)
    assert torch.equal(points[0], ends[0])
    assert torch.equal(points[-1], ends[1])
    torch.testing.assert_close(points.diff(dim=0), ((ends[1] - ends[0]) / 4).expand(4, 3, 4, 5))
