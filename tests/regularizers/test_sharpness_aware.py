import copy

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from regularizer_collection.regularizers import Penalty, SharpnessAware, Step, regularized_loss


class Quadratic(nn.Module):
    """Ignores the images; its logits say nothing, so the penalty is the loss."""

    def __init__(self):
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        root = torch.randn(6, 6, generator=generator, dtype=torch.float64)
        self.curvature = root @ root.T
        self.weight = nn.Parameter(torch.randn(6, generator=generator, dtype=torch.float64))

    def forward(self, images):
        return images.new_zeros(len(images), 5)


class Bowl(Penalty):
    """w^T A w / 2."""

    def value(self, logits, images, targets, step):
        w = step.backbone.weight
        return w @ step.backbone.curvature @ w / 2


@pytest.mark.parametrize("alpha", [1.0, 0.8])
def test_on_a_quadratic_the_gradient_is_that_after_the_ascent(alpha):
    network = Quadratic()
    images, labels = torch.zeros(2, 3, 1, 1, dtype=torch.float64), torch.tensor([0, 1])
    chosen = [SharpnessAware(0.3, alpha), Bowl(1.0)]
    regularized_loss(network, chosen, images, labels, Step(network, 5)).total.backward()
    gradient = network.curvature @ network.weight.detach()
    expected = gradient + alpha * 0.3 * network.curvature @ gradient / gradient.norm()
    torch.testing.assert_close(network.weight.grad, expected)


def convolutional():
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 4, 3),
        nn.BatchNorm2d(4),
        nn.ReLU(),
        nn.Flatten(),
        nn.Dropout(),
        nn.Linear(16, 5),
    ).double()


def in_place(network, images, labels, rho):
    """SAM as its authors wrote it: weights moved, and moved back."""
    state = torch.get_rng_state()
    F.cross_entropy(network(images), labels).backward()
    gradients = [p.grad.clone() for p in network.parameters()]
    norm = torch.stack([g.norm() for g in gradients]).norm()
    network.zero_grad()
    with torch.no_grad():
        for p, g in zip(network.parameters(), gradients, strict=True):
            p.add_(rho / norm * g)
    torch.set_rng_state(state)
    F.cross_entropy(network(images), labels).backward()
    return [p.grad for p in network.parameters()]


def test_the_gradient_equals_that_of_moving_the_weights_in_place():
    ours = convolutional()
    theirs, before = copy.deepcopy(ours), copy.deepcopy(ours)
    images, labels = torch.randn(6, 3, 4, 4, dtype=torch.float64), torch.arange(6) % 5
    torch.manual_seed(1)
    regularized_loss(ours, [SharpnessAware(0.1)], images, labels, Step(ours, 5)).total.backward()
    torch.manual_seed(1)
    expected = in_place(theirs, images, labels, 0.1)
    for parameter, gradient in zip(ours.parameters(), expected, strict=True):
        torch.testing.assert_close(parameter.grad, gradient)
    assert all(
        torch.equal(a, b) for a, b in zip(ours.parameters(), before.parameters(), strict=True)
    )
    assert ours[1].num_batches_tracked == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [((-1,), "rho is -1; give 0 or more"), ((1, 2), "alpha is 2; give a number from 0 to 1")],
)
def test_refuses_wrong_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        SharpnessAware(*arguments)


def test_a_head_that_the_loss_does_not_use_is_left_alone():
    torch.manual_seed(0)
    backbone = nn.Sequential(nn.Flatten(), nn.Linear(12, 5))
    images, labels = torch.randn(4, 3, 2, 2), torch.arange(4)
    alone = regularized_loss(
        backbone, [SharpnessAware(0.1)], images, labels, Step(backbone, 5)
    ).total
    backbone.unused = nn.Linear(3, 3)
    backbone.forward = lambda images: backbone[1](backbone[0](images))
    beside = regularized_loss(
        backbone, [SharpnessAware(0.1)], images, labels, Step(backbone, 5)
    ).total
    assert beside.item() == pytest.approx(alone.item())


@pytest.mark.parametrize("certainty", [10.0, 60.0, 100.0])
def test_a_loss_without_much_gradient_is_never_taken_further_than_rho_away(certainty):
    network = nn.Sequential(nn.Flatten(), nn.Linear(12, 2))
    images, labels = torch.ones(1, 3, 2, 2), torch.tensor([0])
    with torch.no_grad():
        network[1].weight.zero_()
        network[1].bias.copy_(torch.tensor([certainty, 0.0]))
    before, seen = nn.utils.parameters_to_vector(network.parameters()).detach(), []
    network.register_forward_hook(
        lambda *_: seen.append(nn.utils.parameters_to_vector([*network[1]._parameters.values()]))
    )
    regularized_loss(network, [SharpnessAware(0.1)], images, labels, Step(network, 2))
    assert (seen[1] - before).norm() <= 0.1 * (1 + 1e-5)
