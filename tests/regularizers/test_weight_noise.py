import pytest
import torch
import torch.nn.functional as F
from torch import nn

from regularizer_collection.regularizers import Penalty, Step, WeightNoise, regularized_loss
from tests.regularizers.conftest import batch, linear


def gradient(index, std=0.5):
    network = linear()
    images, labels = batch()
    step = Step(network, 5, index=index)
    regularized_loss(network, [WeightNoise(std)], images, labels, step).total.backward()
    return network[1].weight.grad


def test_the_gradient_is_that_at_the_moved_weights():
    network, images_and_labels = linear(), batch()
    images, labels = images_and_labels
    step = Step(network, 5, index=3)
    w = network[1].weight.detach()
    noise = torch.randn(
        w.shape, generator=step.generator("weight noise", shared=True), dtype=w.dtype
    )
    moved = (w + 0.5 * w.norm() / w.numel() ** 0.5 * noise).requires_grad_()
    F.cross_entropy(F.linear(images.flatten(1), moved, network[1].bias), labels).backward()
    torch.testing.assert_close(gradient(3), moved.grad)


def test_on_a_quadratic_the_mean_gradient_is_the_gradient():
    class SquaredWeights(Penalty):
        def value(self, logits, images, targets, step):
            return step.backbone[1].weight.square().sum() / 2

    images, labels = batch()
    images = torch.zeros_like(images)  # so that the cross-entropy has no gradient at the weights
    draws = []
    for index in range(2000):
        network = linear()
        chosen = [WeightNoise(0.5), SquaredWeights(1.0)]
        step = Step(network, 5, index=index)
        regularized_loss(network, chosen, images, labels, step).total.backward()
        draws.append(network[1].weight.grad)
    mean, w = torch.stack(draws).mean(0), linear()[1].weight.detach()
    error = (mean - w) / (0.5 * w.square().mean().sqrt() / 2000**0.5)
    assert error.abs().max() < 5
    assert error.std().item() == pytest.approx(1, abs=0.25)


def test_the_noise_grows_with_the_weights():
    """Noise of a fixed size would vanish beside the weights that batch normalisation lets grow."""
    torch.manual_seed(0)
    network = nn.Sequential(
        nn.Conv2d(3, 6, 3, bias=False), nn.BatchNorm2d(6), nn.Flatten()
    ).double()
    images, labels = batch()
    losses = []
    for scale in (1.0, 100.0):
        with torch.no_grad():
            network[0].weight.mul_(scale)
        step = Step(network, 24, index=1)
        losses.append(regularized_loss(network, [WeightNoise(0.3)], images, labels, step).total)
    torch.testing.assert_close(losses[0], losses[1], rtol=1e-4, atol=0)
