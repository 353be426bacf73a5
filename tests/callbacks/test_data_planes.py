import math

import pytest
import torch
from torch import nn

from regularizer_collection.callbacks import DataPlanes, Segments
from regularizer_collection.callbacks.measurement import Subject
from regularizer_collection.functional import boundary_length, triangle_plane
from regularizer_collection.functional.packed_maps import decode_map


def subject_of(model, data):
    data.setup("test")
    return Subject(model, data, torch.device("cpu"), torch.float32)


@pytest.fixture
def linear():
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(3072, 100)).eval()


@torch.no_grad()
def test_a_plane_is_the_grid_around_its_three_images(linear, tiny_data):
    subject, planes = subject_of(linear, tiny_data), DataPlanes(2, resolution=12, mode="exact")
    (first, _), size = planes.draw(60, (3, 32, 32), seed=0), 12
    measured = planes.measure(subject, first, 0)
    box = triangle_plane(subject.images(first))
    across, down = box.directions.flatten(1)
    naive = torch.tensor(
        [
            [
                int(linear((box.centre.flatten() + a * across + b * down)[None]).argmax())
                for a in torch.linspace(-1, 1, size)
            ]
            for b in torch.linspace(-1, 1, size)
        ]
    )
    assert (measured["labels"] == naive).float().mean() > 0.99
    if torch.equal(measured["labels"].long(), naive):
        spacing = box.spacing(size)
        shares = [(naive.diff(dim=axis) != 0).double().mean().item() for axis in (0, 1)]
        expected = math.pi / 4 * (shares[0] / spacing[0] + shares[1] / spacing[1])
        assert measured["boundary_density"] == pytest.approx(expected)
        assert boundary_length(naive) > 0


@torch.no_grad()
def test_adaptive_maps_agree_with_exact_ones_but_for_what_they_bound(linear, tiny_data):
    subject = subject_of(linear, tiny_data)
    exact, adaptive = (DataPlanes(20, resolution=50, mode=mode) for mode in ("exact", "adaptive"))
    planes = exact.draw(60, (3, 32, 32), seed=0)
    ours = [adaptive.measure(subject, plane, n) for n, plane in enumerate(planes)]
    truth = [exact.measure(subject, plane, n) for n, plane in enumerate(planes)]
    wrong = [(a["labels"] != b["labels"]).float().mean() for a, b in zip(ours, truth, strict=True)]
    record = adaptive.sum_up(planes, ours)
    assert sum(wrong) / 20 <= record["bounds_95"]["wrong_share"]
    assert sum(value["evaluated_share"] for value in ours) / 20 < 0.7


def test_the_record_keeps_the_map_of_every_plane(linear, tiny_data):
    subject, planes = subject_of(linear, tiny_data), DataPlanes(3, resolution=8)
    drawn = planes.draw(60, (3, 32, 32), seed=0)
    with torch.no_grad():
        values = [planes.measure(subject, plane, n) for n, plane in enumerate(drawn)]
    record = planes.sum_up(drawn, values)
    kept = torch.tensor(decode_map(record["class_maps"]).copy())
    assert torch.equal(kept, torch.stack([value["labels"] for value in values]))
    assert record["image_indices"] == drawn
    means = planes.metrics(record)
    assert means["boundary_density/data"] == pytest.approx(
        sum(value["boundary_density"] for value in values) / 3
    )


@pytest.mark.parametrize("planes", [DataPlanes(5), Segments(5)])
def test_images_depend_on_the_seed_alone_and_more_planes_begin_with_the_same(planes):
    drawn = planes.draw(60, (3, 32, 32), seed=0)
    assert drawn == type(planes)(9).draw(60, (3, 32, 32), seed=0)[:5]
    assert drawn != planes.draw(60, (3, 32, 32), seed=1)
    for indices in drawn:
        assert len(set(indices)) == planes.images_per_plane


class FirstPixel(nn.Module):
    """Tells the brightness of the first pixel, in ten classes."""

    def forward(self, images):
        levels = torch.linspace(-2, 2, 10)
        return -(images[:, :1, 0, 0] - levels).abs()


@torch.no_grad()
def test_equal_images_span_no_plane_and_have_no_boundary(linear, tiny_data):
    subject, planes = subject_of(linear, tiny_data), DataPlanes(1, resolution=8)
    (image,) = subject.images([3])
    values = planes.measure(subject, [3, 3, 5], 0)
    assert values["boundary_density"] == 0
    assert values["num_fragments"] == 1
    assert values["labels"].unique().tolist() == [linear(image[None]).argmax().item()]
    assert planes.sum_up([[3, 3, 5]], [values])["bounds_95"]["wrong_share"] == 0


def test_class_changes_on_a_segment_are_counted(tiny_data):
    subject, segments = subject_of(FirstPixel(), tiny_data), Segments(4, resolution=200)
    for plane in segments.draw(60, (3, 32, 32), seed=0):
        ends = subject.images(plane)
        classes = FirstPixel()(ends).argmax(1)
        measured = segments.measure(subject, plane, 0)
        # The pixel moves steadily from one class to the other, through all those between.
        assert measured["class_changes"] == abs(int(classes[0]) - int(classes[1]))
        assert measured["length"] == pytest.approx((ends[0] - ends[1]).norm().item())


def test_a_zoom_is_no_argument_of_planes_whose_extent_is_that_of_their_images():
    with pytest.raises(TypeError, match="zoom_levels"):
        DataPlanes(zoom_levels=(0.1,))
