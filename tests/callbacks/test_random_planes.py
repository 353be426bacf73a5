import pytest
import torch

from regularizer_collection.callbacks import RandomPlanes

SHAPE = (3, 4, 4)


def test_planes_depend_on_the_seed_and_the_data_alone():
    first = RandomPlanes(num_planes=5).draw(100, SHAPE, seed=0)
    again = RandomPlanes(num_planes=5, resolution=7, chunk_size=3).draw(100, SHAPE, seed=0)
    other = RandomPlanes(num_planes=5).draw(100, SHAPE, seed=1)
    for plane, same in zip(first, again, strict=True):
        assert plane.image_index == same.image_index
        assert torch.equal(plane.directions, same.directions)
    indices = [plane.image_index for plane in first]
    assert len(set(indices)) == 5
    assert indices != [plane.image_index for plane in other]


def test_every_plane_has_an_image_and_directions_of_its_own():
    planes = RandomPlanes(num_planes=4).draw(10, (3, 8, 8), seed=0)
    assert len({plane.image_index for plane in planes}) == 4
    directions = torch.cat([plane.directions.flatten(1) for plane in planes])
    cosines = directions @ directions.T
    assert (cosines - torch.eye(8)).abs().max() < 0.4  # of random directions in 192 dimensions


def test_more_planes_begin_with_the_same_ones():
    few, many = (RandomPlanes(num_planes=n).draw(50, SHAPE, seed=0) for n in (2, 6))
    for plane, same in zip(few, many, strict=False):
        assert plane.image_index == same.image_index
        assert torch.equal(plane.directions, same.directions)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"zoom_levels": (0.0,)}, r"zoom_levels are \[0.0\]; give numbers above 0"),
        ({"num_planes": 0}, "num_planes is 0; give 1 or more"),
        ({"mode": "fast"}, "mode is 'fast'; give 'adaptive' or 'exact'"),
    ],
)
def test_refuses_wrong_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        RandomPlanes(**arguments)


def test_the_bound_of_all_maps_together_is_recorded_with_what_it_means_for_the_length():
    values = [
        {
            "zoom_0.1": {
                "labels": torch.zeros(10, 10, dtype=torch.short),
                "boundary_distance": float("inf"),
                "evaluated_share": 0.5,
                "redone": 0.0,
                "num_checked": 1000,
                "num_disagreeing": 0,
                "non_finite": 0.0,
            }
        }
    ] * 25
    planes = RandomPlanes((0.1,), num_planes=25, resolution=10)
    bounds = planes.sum_up(planes.draw(30, SHAPE, 0), values)["bounds_95"]["zoom_0.1"]
    # No disagreement among 25,000 points: 1 - 0.05^(1 / 25000) of those filled in.
    assert bounds["wrong_share"] == pytest.approx((1 - 0.05 ** (1 / 25000)) / 2)
    assert bounds["missed_length"] == pytest.approx(4 * 100 * bounds["wrong_share"])
