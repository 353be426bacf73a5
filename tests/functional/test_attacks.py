import math

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from regularizer_collection.functional.attacks import (
    direction_distance,
    fgsm,
    fmn_l2,
    kl_divergence,
    margin,
    pgd,
    random_start,
    sign_ascent,
)
from regularizer_collection.functional.pixels import PixelSpace

PIXELS = PixelSpace((0.5, 0.4, 0.3), (0.25, 0.2, 0.3))


def images(size=6):
    generator = torch.Generator().manual_seed(0)
    return PIXELS.normalise(torch.rand(size, 3, 4, 4, generator=generator, dtype=torch.float64))


def binary():
    """A linear model of two classes: logits (0, w x)."""
    generator = torch.Generator().manual_seed(1)
    w = torch.randn(48, generator=generator, dtype=torch.float64)
    return w, lambda x: torch.stack([x.new_zeros(len(x)), x.flatten(1) @ w], 1)


def attacked(x, labels, model, eps, steps=5, start=None):
    def loss(moved):
        return F.cross_entropy(model(moved), labels, reduction="sum")

    return sign_ascent(loss, x, x if start is None else start, eps, eps / 2, steps, PIXELS)


def test_a_linear_model_meets_its_worst_case():
    """The margin falls by eps times the L1 norm of the weights, seen in pixels."""
    w, model = binary()
    x = PIXELS.normalise(0.3 + 0.4 * PIXELS.denormalise(images()))  # so that the box is whole
    labels = torch.tensor([0, 1, 0, 1, 0, 1])
    eps = 0.1
    worst = attacked(x, labels, model, eps)
    reach = (w.abs().view(3, -1) / torch.tensor(PIXELS.std, dtype=w.dtype)[:, None]).sum() * eps
    signs = 1 - 2 * labels  # class 0 is pushed up, class 1 down
    torch.testing.assert_close(model(worst)[:, 1], model(x)[:, 1] + signs * reach)


def test_no_image_leaves_the_box_or_the_pixels():
    _, model = binary()
    x = images()
    uniform = torch.rand(x.shape, generator=torch.Generator().manual_seed(2), dtype=x.dtype)
    start = random_start(x, 8 / 255, PIXELS, uniform)
    worst = attacked(x, torch.zeros(6, dtype=torch.long), model, 8 / 255, start=start)
    pixels, before = PIXELS.denormalise(worst), PIXELS.denormalise(x)
    assert (pixels - before).abs().max() <= 8 / 255 + 1e-12
    assert pixels.min() >= -1e-12
    assert pixels.max() <= 1 + 1e-12
    assert (pixels != before).any()
    assert not worst.requires_grad


def test_a_random_start_fills_the_box():
    x = images(200)
    uniform = torch.rand(x.shape, generator=torch.Generator().manual_seed(3), dtype=x.dtype)
    moved = random_start(x, 0.1, PIXELS, uniform)
    difference = (PIXELS.denormalise(moved) - PIXELS.denormalise(x)) / 0.1
    assert -1 <= difference.min() < -0.99
    assert 0.99 < difference.max() <= 1
    assert abs(difference.mean()) < 0.02


def test_the_divergence_is_torchs_and_zero_between_equals():
    generator = torch.Generator().manual_seed(4)
    ours, theirs = torch.randn(2, 6, 5, generator=generator, dtype=torch.float64)
    expected = F.kl_div(
        theirs.log_softmax(1), ours.log_softmax(1), log_target=True, reduction="none"
    )
    torch.testing.assert_close(kl_divergence(ours, theirs), expected.sum(1))
    assert kl_divergence(ours, ours).abs().max() == 0


def test_the_divergence_of_16_bit_logits_is_computed_in_32_bits():
    generator = torch.Generator().manual_seed(4)
    ours = torch.randn(50, 5, generator=generator).bfloat16()
    theirs = (ours + 0.05 * torch.randn(50, 5, generator=generator)).bfloat16()
    found = kl_divergence(ours, theirs)
    torch.testing.assert_close(
        found, kl_divergence(ours.double(), theirs.double()).float(), rtol=1e-4, atol=1e-6
    )


def linear(num_classes=5, seed=5):
    """A linear model of pixels [1, 6, 6], its weights, and images well inside the box."""
    generator = torch.Generator().manual_seed(seed)
    weights = torch.randn(num_classes, 36, generator=generator, dtype=torch.float64)
    pixels = 0.4 + 0.2 * torch.rand(12, 1, 6, 6, generator=generator, dtype=torch.float64)
    return (lambda x: x.flatten(1) @ weights.T), weights, pixels


def nearest_boundary(logits, weights, labels):
    """Distance to the nearest hyperplane between the label's class and another, for each image."""
    distances = torch.full_like(logits, math.inf)
    for image, label in enumerate(labels.tolist()):
        for other in range(len(weights)):
            if other != label:
                gap = logits[image, label] - logits[image, other]
                distances[image, other] = gap / (weights[label] - weights[other]).norm()
    return distances.amin(1)


def test_the_margin_is_the_gap_to_the_best_other_class():
    logits = torch.tensor([[1.0, 5.0, 2.0], [1.0, 5.0, 2.0]])
    assert margin(logits, torch.tensor([1, 0])).tolist() == [3.0, -4.0]


def test_the_minimal_distance_of_a_linear_model_is_margin_over_norm():
    model, weights, pixels = linear()
    labels = model(pixels).argmax(1)
    found = (fmn_l2(model, pixels, labels) - pixels).flatten(1).norm(dim=1)
    expected = nearest_boundary(model(pixels), weights, labels)
    assert ((found - expected).abs() <= 0.01 * expected).all()
    assert (found >= expected * (1 - 1e-9)).all()


@pytest.mark.parametrize("distance", [0.001, 0.01, 0.1])
def test_the_minimal_distance_is_found_where_the_box_blocks_a_part_of_the_way(distance):
    generator = torch.Generator().manual_seed(0)
    weight = torch.randn(3, 8, 8, generator=generator, dtype=torch.float64)
    pixels = 0.25 + 0.5 * torch.rand(20, 3, 8, 8, generator=generator, dtype=torch.float64)
    is_blocked = (weight > 0) & (torch.arange(8) < 4)  # less of them would change the class
    pixels[:, is_blocked] = 0
    offset = (pixels * weight).sum((1, 2, 3)) - distance * weight[~is_blocked].norm()

    def model(x):
        value = (x * weight).sum((1, 2, 3)) - offset
        return torch.stack([value, torch.zeros_like(value)], 1)

    found = fmn_l2(model, pixels, torch.zeros(20).long()) - pixels
    assert found.flatten(1).norm(dim=1).tolist() == pytest.approx([distance] * 20, rel=0.01)


def test_the_minimal_distance_of_a_misclassified_image_is_zero():
    model, _, pixels = linear()
    wrong = model(pixels).argmin(1)
    torch.testing.assert_close(fmn_l2(model, pixels, wrong), pixels)


def test_where_no_other_class_exists_the_nearest_image_is_not_a_number():
    constant = torch.tensor([1.0, 0.0], dtype=torch.float64)
    _, _, pixels = linear()
    found = fmn_l2(
        lambda x: constant + 0 * x.sum((1, 2, 3))[:, None], pixels, torch.zeros(12).long()
    )
    assert found.isnan().all()


def test_the_distance_along_a_direction_is_that_of_the_first_hyperplane():
    model, weights, pixels = linear()
    labels = model(pixels).argmax(1)
    generator = torch.Generator().manual_seed(6)
    directions = torch.randn(pixels.shape, generator=generator, dtype=torch.float64)
    directions /= directions.flatten(1).norm(dim=1).view(-1, 1, 1, 1)
    found = direction_distance(model, pixels, labels, directions)
    for image, label in enumerate(labels.tolist()):
        slopes = (weights - weights[label]) @ directions[image].flatten()
        gaps = (weights[label] - weights) @ pixels[image].flatten()
        crossings = [(g / s).item() for g, s in zip(gaps, slopes, strict=True) if s > 0]
        expected = min(crossings, default=math.inf)
        assert expected <= found[image] <= expected * 1.01 or (
            math.isinf(found[image]) and expected > 256
        )


def test_a_direction_without_another_class_has_no_distance():
    model, weights, pixels = linear(2)
    labels = model(pixels).argmax(1)
    away = (weights[labels] - weights[1 - labels]).view_as(pixels)
    away = away / away.flatten(1).norm(dim=1).view(-1, 1, 1, 1)
    assert direction_distance(model, pixels, labels, away).isinf().all()
    assert (direction_distance(model, pixels, 1 - labels, away) == 0).all()


def test_fgsm_and_pgd_of_a_linear_model_raise_the_loss_to_the_closed_form():
    generator = torch.Generator().manual_seed(7)
    weights = torch.randn(2, 36, generator=generator, dtype=torch.float64)
    _, _, pixels = linear()
    labels = torch.tensor([0, 1] * 6)
    eps = 0.05
    gaps = (weights[labels] - weights[1 - labels]).view_as(pixels)
    worst = F.softplus(
        -((gaps * pixels).sum((1, 2, 3)) - eps * gaps.abs().sum((1, 2, 3)))
    )  # cross-entropy of two classes at margin - eps ||w||_1

    def model(x):
        return x.flatten(1) @ weights.T

    for moved in (
        fgsm(model, pixels, labels, eps),
        pgd(model, pixels, labels, eps, eps / 4, 8),
    ):
        loss = F.cross_entropy(model(moved), labels, reduction="none")
        torch.testing.assert_close(loss, worst)


def test_pgd_moves_where_cross_entropy_has_no_gradient_left():
    weights = torch.tensor([[1.0], [-1.0]])
    pixels = torch.full((1, 1, 1, 1), 0.5)

    def model(x):
        return 1e4 * x.flatten(1) @ weights.T

    moved = pgd(model, pixels, torch.tensor([0]), 0.1, 0.1, 1)
    assert moved.item() == pytest.approx(0.4)


def test_pgd_can_be_watched_at_every_step():
    model, _, pixels = linear()
    seen = []
    last = pgd(model, pixels, model(pixels).argmax(1), 0.1, 0.05, 3, watch=seen.append)
    assert len(seen) == 3
    assert seen[-1] is last


@settings(deadline=None, max_examples=40, derandomize=True)
@given(
    eps=st.floats(0, 1),
    steps=st.integers(1, 5),
    seed=st.integers(0, 1000),
    low=st.floats(0, 0.5),
)
def test_box_and_ball_hold_for_every_image(eps, steps, seed, low):
    model, _, _ = linear(seed=seed)
    generator = torch.Generator().manual_seed(seed)
    pixels = low + (1 - low) * torch.rand(8, 1, 6, 6, generator=generator, dtype=torch.float64)
    labels = torch.arange(8) % 5
    for moved in (
        pgd(model, pixels, labels, eps, eps / 2, steps),
        fgsm(model, pixels, labels, eps),
    ):
        assert moved.min() >= 0
        assert moved.max() <= 1
        assert (moved - pixels).abs().max() <= eps + 1e-15  # of rounding in pixel + eps
    nearest = fmn_l2(model, pixels, labels, steps)
    nearest = nearest[~nearest.isnan().flatten(1).any(1)]
    assert ((nearest >= 0) & (nearest <= 1)).all()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((1.5, 0.1, 1), "eps is 1.5; give a number from 0 to 1"),
        ((-0.1, 0.1, 1), "eps is -0.1"),
        ((0.1, 0.1, 0), "num_steps is 0; give 1 or more"),
    ],
)
def test_arguments_out_of_range_are_refused(arguments, message):
    model, _, pixels = linear()
    with pytest.raises(ValueError, match=message):
        pgd(model, pixels, torch.zeros(12).long(), *arguments)
