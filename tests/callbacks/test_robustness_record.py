import math
from itertools import product

import pytest
import torch

from regularizer_collection.callbacks.attack_protocol import AttackProtocol
from regularizer_collection.callbacks.robustness_record import robustness_record
from regularizer_collection.functional.corruptions import KINDS

PROTOCOL = AttackProtocol((1 / 255,), num_steps=1, distance_steps=1, seed=0)


def record(**found):
    """The record of images of which all is right but what is given."""
    number = len(next(iter(found.values())))
    right = torch.ones(number, dtype=torch.bool)
    names = ["clean", "fgsm/1_255", "pgd/1_255", *(f"{k}/{n}" for k, n in product(KINDS, "12345"))]
    values = dict.fromkeys(names, right) | {"pgd_by_steps": right[:, None]}
    values |= dict.fromkeys(
        ("distance", "distance_normalised", "line_distance"), torch.full((number,), 2.0)
    )
    values |= {name: torch.as_tensor(value) for name, value in found.items()}
    return robustness_record([values], range(number), PROTOCOL, num_pixels=100)


def test_flatness_is_the_median_of_images_that_the_attack_moved():
    one = 80 * 0.674 / math.sqrt(100)
    lines = [80.0, 80.0, 80.0]
    assert record(distance=[1.0, math.inf, math.inf], line_distance=lines)["flatness"] == (
        pytest.approx(one, rel=1e-3)
    )
    assert record(distance=[1.0, 2.0, 4.0], line_distance=lines)["flatness"] == (
        pytest.approx(one / 2, rel=1e-3)
    )


def test_lines_that_no_boundary_crosses_count_as_long_ones():
    lines = [80.0, math.inf, math.inf]
    assert record(distance=[1.0] * 3, line_distance=lines)["flatness"] is None


@pytest.mark.parametrize(("zero", "said"), [(0, None), (10, "20.0 %"), (50, "100.0 %")])
def test_zero_gradients_are_a_share_of_the_right_images(zero, said):
    right = torch.arange(200) < 50
    check = torch.zeros(200, 5, dtype=torch.bool)
    check[:zero, 4] = True
    signs = record(clean=right, check=check)["signs_of_gradient_masking"]
    told = [sign for sign in signs if "gradients are zero" in sign]
    assert told == ([f"{said} of the gradients are zero"] if said else [])
