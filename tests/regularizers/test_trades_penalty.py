import torch
import torch.nn.functional as F
from torch import nn

from regularizer_collection.regularizers import PixelSpace, Step, TRADESPenalty, regularized_loss
from tests.regularizers.conftest import batch, linear

PIXELS = PixelSpace((0.5, 0.5, 0.5), (0.25, 0.25, 0.25))


def images():
    generator = torch.Generator().manual_seed(0)
    pixels = torch.rand(8, 3, 4, 4, generator=generator, dtype=torch.float64)
    return PIXELS.normalise(pixels), torch.arange(8) % 5


def test_it_equals_the_authors_loop_on_a_small_network():
    """Their code (yaodongyu/TRADES, trades.py) in our units, with our start."""
    network, (x, labels) = linear(), images()
    regularizer = TRADESPenalty(6.0, eps=0.05, step_size=0.01, num_steps=4)
    step = Step(network, 5, pixels=PIXELS)
    found = regularized_loss(network, [regularizer], x, labels, step)
    noise = torch.randn(
        x.shape, generator=step.generator("trades start", shared=True), dtype=x.dtype
    )
    adversarial = (x + 0.001 * 4 * noise).clamp(-2, 2)
    for _ in range(4):
        adversarial = adversarial.detach().requires_grad_()
        divergence = F.kl_div(
            network(adversarial).log_softmax(1), network(x).softmax(1), reduction="sum"
        )
        (gradient,) = torch.autograd.grad(divergence, adversarial)
        adversarial = adversarial.detach() + 0.01 * 4 * gradient.sign()
        adversarial = torch.minimum(torch.maximum(adversarial, x - 0.2), x + 0.2).clamp(-2, 2)
    robust = F.kl_div(
        network(adversarial).log_softmax(1), network(x).softmax(1), reduction="batchmean"
    )
    expected = F.cross_entropy(network(x), labels) + 6.0 * robust
    torch.testing.assert_close(found.total, expected)
    ours, theirs = (
        torch.autograd.grad(loss, network[1].weight)[0] for loss in (found.total, expected)
    )
    torch.testing.assert_close(ours, theirs)


def test_both_sides_drop_the_same_features():
    """With a box of size 0 the two sides are one, so the divergence is 0 in spite of dropout."""
    torch.manual_seed(0)
    network = nn.Sequential(nn.Flatten(), nn.Dropout(0.5), nn.Linear(48, 5)).double()
    x, labels = images()
    step = Step(network, 5, pixels=PIXELS)
    terms = regularized_loss(network, [TRADESPenalty(eps=0.0)], x, labels, step)
    assert terms.penalties["tradespenalty"].abs() < 1e-12
    assert not torch.equal(network(batch()[0]), network(batch()[0]))
