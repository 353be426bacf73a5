"""What holds for every regularizer and every pair of them; classes are found, not listed."""

import inspect
from itertools import combinations_with_replacement

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torchvision.models.resnet import BasicBlock

from regularizer_collection import lightning_modules, regularizers
from regularizer_collection.lightning_modules import Classifier
from regularizer_collection.regularizers import (
    Penalty,
    PixelSpace,
    Regularizer,
    Step,
    regularized_loss,
)


def concrete(module, base):
    found = (vars(module)[name] for name in module.__all__)
    classes = [cls for cls in found if inspect.isclass(cls) and issubclass(cls, base)]
    return [cls for cls in classes if cls is not base and not inspect.isabstract(cls)]


REGULARIZERS = [cls for cls in concrete(regularizers, Regularizer) if cls is not Penalty]
MODULES = concrete(lightning_modules, Classifier)


def backbone():
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 6, 3, padding=1, bias=False),
        nn.BatchNorm2d(6),
        nn.Softplus(),
        nn.AdaptiveAvgPool2d(2),
        nn.Flatten(),
        nn.Dropout(0.3),
        nn.Linear(24, 5),
    )


def batch():
    generator = torch.Generator().manual_seed(0)
    pixels = torch.rand(12, 3, 8, 8, generator=generator)
    return (pixels - 0.5) / 0.25, torch.arange(12) % 5


def step(network, **where):
    """A step whose batch CutMix does not leave alone."""
    pixels = PixelSpace((0.5, 0.5, 0.5), (0.25, 0.25, 0.25))
    return Step(
        network, 5, **({"index": 4, "epoch": 1, "global_step": 8, "pixels": pixels} | where)
    )


def trained(*chosen, **where):
    """Terms and backbone after one backward pass, dropout drawn from a fixed seed."""
    network = backbone()
    torch.manual_seed(1)
    terms = regularized_loss(network, chosen, *batch(), step(network, **where))
    terms.total.backward()
    return terms, network


@pytest.mark.parametrize("cls", REGULARIZERS)
def test_with_its_first_argument_at_zero_it_equals_plain_training_bit_for_bit(cls):
    first = next(iter(inspect.signature(cls).parameters))
    plain, plain_network = trained()
    terms, network = trained(cls(**{first: 0.0}))
    assert torch.equal(terms.total, plain.total)
    for ours, theirs in zip(network.parameters(), plain_network.parameters(), strict=True):
        assert torch.equal(ours.grad, theirs.grad)


@pytest.mark.parametrize("cls", REGULARIZERS)
def test_it_changes_the_gradient(cls):
    def changes(index):
        _, plain = trained()
        _, network = trained(cls(), index=index)
        gradients = zip(network.parameters(), plain.parameters(), strict=True)
        return any(not torch.equal(ours.grad, theirs.grad) for ours, theirs in gradients)

    assert any(changes(index) for index in range(8))


@pytest.mark.parametrize("cls", REGULARIZERS)
def test_the_same_step_draws_the_same(cls):
    first, network = trained(cls())
    again, twin = trained(cls())
    assert torch.equal(first.total, again.total)
    for ours, theirs in zip(network.parameters(), twin.parameters(), strict=True):
        assert torch.equal(ours.grad, theirs.grad)


@pytest.mark.parametrize("cls", REGULARIZERS)
def test_gradient_reaches_every_weight_and_one_batch_is_counted(cls):
    _, network = trained(cls())
    assert all(p.grad is not None and p.grad.isfinite().all() for p in network.parameters())
    assert network[1].num_batches_tracked == 1


@pytest.mark.parametrize("cls", REGULARIZERS)
def test_weights_mode_and_images_are_left_as_they_were(cls):
    images, labels = batch()
    network, before = backbone(), backbone()
    regularized_loss(network, [cls()], images, labels, step(network))
    assert all(module.training for module in network.modules())
    assert all(p.grad is None and p.requires_grad for p in network.parameters())
    for ours, theirs in zip(network.parameters(), before.parameters(), strict=True):
        assert torch.equal(ours, theirs)
    assert torch.equal(images, batch()[0])


class Shifted(nn.Module):
    """Normalises images once more, in their own memory or not, before its network sees them."""

    def __init__(self, in_place):
        super().__init__()
        self.network = backbone()
        self.in_place = in_place

    def forward(self, images):
        shifted = images.sub_(0.3).mul_(2) if self.in_place else images.sub(0.3).mul(2)
        return self.network(shifted)


@pytest.mark.parametrize("cls", REGULARIZERS)
def test_a_backbone_that_changes_its_input_in_place_is_trained_as_one_that_does_not(cls):
    gradients = []
    for in_place in (True, False):
        network, (images, labels) = Shifted(in_place), batch()
        torch.manual_seed(1)
        regularized_loss(network, [cls()], images, labels, step(network)).total.backward()
        assert torch.equal(images, batch()[0])
        gradients.append([parameter.grad for parameter in network.parameters()])
    for ours, theirs in zip(*gradients, strict=True):
        assert torch.equal(ours, theirs)


@pytest.mark.parametrize(("first", "second"), list(combinations_with_replacement(REGULARIZERS, 2)))
def test_every_pair_trains(first, second):
    network = backbone()
    optimizer = torch.optim.SGD(network.parameters(), lr=0.01)
    pair = [first(), second()]
    for index in range(3):
        where = step(network, index=index, global_step=index)
        terms = regularized_loss(network, pair, *batch(), where)
        optimizer.zero_grad()
        terms.total.backward()
        optimizer.step()
        assert terms.total.isfinite()
    assert all(p.isfinite().all() for p in network.parameters())


@pytest.mark.parametrize("cls", REGULARIZERS)
def test_its_lightning_module_has_its_arguments_and_defaults(cls):
    def arguments(owner):
        parameters = inspect.signature(owner).parameters.values()
        named = [p for p in parameters if p.kind is not p.VAR_KEYWORD and p.name != "warmup_steps"]
        return [
            ("coefficient" if p.name == "lambda_jacobian" else p.name, p.default) for p in named
        ]

    def its(module):
        chosen = module(backbone=BasicBlock(1, 1)).regularizers
        return len(chosen) == 1 and type(chosen[0]) is cls

    assert arguments(cls) in [arguments(module) for module in MODULES if its(module)]


def test_a_plain_step_is_cross_entropy():
    terms, network = trained()
    torch.manual_seed(1)
    assert torch.equal(terms.cross_entropy, F.cross_entropy(network(batch()[0]), batch()[1]))
