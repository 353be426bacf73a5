import torch
import torch.nn.functional as F

from regularizer_collection.functional.attacks import kl_divergence, pgd, random_start
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

    return pgd(loss, x, x if start is None else start, eps, eps / 2, steps, PIXELS)


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
