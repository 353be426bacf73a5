import pytest
import torch
from torch import nn

from regularizer_collection.functional.attacks import margin, pgd
from regularizer_collection.functional.square_attack import square

EPS = 8 / 255


def generators(number):
    return [torch.Generator().manual_seed(seed) for seed in range(number)]


@pytest.fixture
def images():
    return torch.rand(10, 3, 8, 8, generator=torch.Generator().manual_seed(0)) * 0.8 + 0.1


def colours(images):
    """A network of two classes that looks at the mean of each channel."""
    score = images.mean((2, 3)) @ torch.tensor([3.0, -2.0, 1.0])
    return torch.stack([score, -score], 1)


def test_it_reaches_the_worst_point_of_the_ball_of_a_network_that_looks_at_colours(images):
    labels = colours(images).argmax(1)
    # Whoever never becomes wrong goes on to the end: 100 is added to the label's logit.
    sure = torch.zeros(10, 2).scatter(1, labels[:, None], 100.0)

    def model(pixels):
        return colours(pixels) + sure[: len(pixels)]

    moved = square(model, images, labels, EPS, 2000, generators(10))
    expected = margin(model(images), labels) - 2 * EPS * 6
    torch.testing.assert_close(margin(model(moved), labels), expected, rtol=0, atol=2e-3)


def test_ball_and_box_hold():
    dark = torch.rand(6, 3, 9, 7, generator=torch.Generator().manual_seed(1)).round()
    sure = torch.tensor([100.0, 0.0])  # so that every query is made
    labels = torch.zeros(6).long()
    moved = square(lambda x: colours(x) + sure, dark, labels, EPS, 50, generators(6))
    assert (moved - dark).abs().max() <= EPS + 1e-6
    assert moved.min() >= 0
    assert moved.max() <= 1


def test_more_queries_never_raise_the_margin(images):
    labels = colours(images).argmax(1)
    margins = [
        margin(colours(square(colours, images, labels, EPS, n, generators(10))), labels)
        for n in (1, 2)
    ]
    assert (margins[1] <= margins[0]).all()


def test_it_finds_what_missing_gradients_hide(images):
    class Rounded(nn.Module):
        """Has no gradient anywhere."""

        def forward(self, pixels):
            return colours(pixels).mul(200).round() + 0 * pixels.sum()

    model = Rounded()
    labels = model(images).argmax(1)
    by_gradients = model(pgd(model, images, labels, 0.4, 0.1, 20)).argmax(1) == labels
    moved = square(model, images, labels, 0.4, 300, generators(10))
    assert by_gradients.all()
    assert not (model(moved).argmax(1) == labels).any()


def test_an_image_moves_the_same_whatever_is_beside_it(images):
    labels = colours(images).argmax(1)
    together = square(colours, images, labels, EPS, 20, generators(10))
    alone = square(colours, images[3:4], labels[3:4], EPS, 20, generators(10)[3:4])
    torch.testing.assert_close(together[3:4], alone)


def test_arguments_out_of_range_are_refused(images):
    with pytest.raises(ValueError, match="eps is 2"):
        square(colours, images, torch.zeros(10).long(), 2, 10, generators(10))
    with pytest.raises(ValueError, match="num_queries is 0"):
        square(colours, images, torch.zeros(10).long(), EPS, 0, generators(10))
