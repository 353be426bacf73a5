import pytest
import torch
import torch.nn.functional as F
from torch import nn

from regularizer_collection.backbones import ResNet18
from regularizer_collection.functional.mixing import draw_mixing_ratio
from regularizer_collection.regularizers import Mixup, Step, regularized_loss
from tests.regularizers.conftest import batch, linear


def share_of(step, alpha=1.0):
    return draw_mixing_ratio(alpha, step.generator("mixup", shared=True))


def test_the_loss_is_that_of_both_labels_at_the_mixed_images():
    network, (images, labels) = linear(), batch()
    step = Step(network, 5, index=3)
    terms = regularized_loss(network, [Mixup(1.0)], images, labels, step)
    share = share_of(step)
    logits = network(share * images + (1 - share) * images.roll(1, 0))
    first, second = F.cross_entropy(logits, labels), F.cross_entropy(logits, labels.roll(1))
    torch.testing.assert_close(terms.total, share * first + (1 - share) * second)


def test_every_step_mixes_with_another_share():
    shares = {share_of(Step(None, 5, epoch=epoch, index=i)) for epoch in (0, 1) for i in range(3)}
    assert len(shares) == 6


class Stages(nn.Module):
    """Two linear stages, so that mixing their output can be written down."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.layer1 = nn.Sequential(nn.Flatten(), nn.Linear(48, 7), nn.Tanh())
        self.layer2 = nn.Sequential(nn.Linear(7, 6), nn.Tanh())
        self.fc = nn.Linear(6, 5)

    def forward(self, images):
        return self.fc(self.layer2(self.layer1(images)))


def test_manifold_mixup_mixes_the_output_of_one_of_two_stages():
    network, (images, labels) = Stages().double(), batch()
    stages = set()
    for index in range(8):
        step = Step(network, 5, index=index)
        terms = regularized_loss(network, [Mixup(2.0, "hidden")], images, labels, step)
        share = share_of(step, 2.0)

        def mixed(rows, share=share):
            return share * rows + (1 - share) * rows.roll(1, 0)

        first = network.layer1(images)
        by_stage = {
            "layer1": network.fc(network.layer2(mixed(first))),
            "layer2": network.fc(mixed(network.layer2(first))),
        }
        matching = {n for n, logits in by_stage.items() if torch.allclose(logits, terms.logits)}
        assert len(matching) == 1
        stages |= matching
        targets = mixed(F.one_hot(labels, 5).double())
        torch.testing.assert_close(terms.total, F.cross_entropy(terms.logits, targets))
    assert stages == {"layer1", "layer2"}
    assert not any(module._forward_hooks for module in network.modules())


def test_manifold_mixup_trains_the_shared_backbone():
    network = ResNet18(num_classes=5)
    images, labels = torch.randn(4, 3, 32, 32), torch.arange(4)
    regularized_loss(
        network, [Mixup(2.0, "hidden")], images, labels, Step(network, 5)
    ).total.backward()
    assert all(p.grad is not None for p in network.parameters())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((-1,), "alpha is -1; give 0 or more"),
        ((1, "output"), "layers is 'output'; give 'input' or 'hidden'"),
    ],
)
def test_refuses_wrong_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        Mixup(*arguments)


def test_refuses_what_cannot_be_mixed():
    with pytest.raises(ValueError, match="num_classes is 1; mixup needs 2 or more"):
        Mixup().transform(*batch(), Step(linear(), 1))
    with pytest.raises(ValueError, match="Sequential has no layer1 and no layer2, whose output"):
        regularized_loss(linear(), [Mixup(1, "hidden")], *batch(), Step(linear(), 5))


@pytest.mark.parametrize("runs_before", [True, False])
def test_feature_maps_of_a_compiled_network_are_mixed_or_it_is_refused(runs_before):
    torch._dynamo.reset()
    network, (images, labels) = Stages().double(), batch()
    compiled = torch.compile(network, backend="eager")
    steps = [Step(network, 5, index=index) for index in range(3)]
    plain = [regularized_loss(network, [Mixup(1.0, "hidden")], images, labels, s) for s in steps]
    if runs_before:
        compiled(images)
    for step, expected in zip(steps, plain, strict=True):
        if runs_before:
            with pytest.raises(ValueError, match="compiled before its feature maps were mixed"):
                regularized_loss(compiled, [Mixup(1.0, "hidden")], images, labels, step)
        else:
            found = regularized_loss(compiled, [Mixup(1.0, "hidden")], images, labels, step)
            torch.testing.assert_close(found.total, expected.total)
