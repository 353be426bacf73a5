import pytest
import torch
import torchvision
from torch import nn

from regularizer_collection.backbones import ResNet18
from regularizer_collection.functional.normalised_weights import normalised_weights

IMAGES = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))


class PreActivation(nn.Module):
    """A block that normalises before it convolves, as a WideResNet's do."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 4, 3, padding=1, bias=False)
        self.bn1, self.bn2, self.bn3 = (nn.BatchNorm2d(4) for _ in range(3))
        self.conv1 = nn.Conv2d(4, 4, 3, padding=1, bias=False)
        self.conv2 = nn.Conv2d(4, 4, 3, padding=1, bias=False)
        self.fc = nn.Linear(4, 5)

    def forward(self, images):
        x = self.stem(images)
        x = x + self.conv2(self.bn2(self.conv1(self.bn1(x).relu())).relu())
        return self.fc(self.bn3(x).relu().mean((2, 3)))


def test_they_are_all_convolutions_of_a_resnet_and_not_its_last_layer():
    network = ResNet18().eval()
    convolutions = {n for n, m in network.named_modules() if isinstance(m, nn.Conv2d)}
    assert set(normalised_weights(network, IMAGES)) == convolutions
    assert len(convolutions) == 20


@pytest.mark.parametrize(
    ("build", "count"),
    [
        (torchvision.models.mobilenet_v2, 52),
        (torchvision.models.densenet121, 59),
        (lambda num_classes: PreActivation(), 1),
    ],
)
def test_scaling_them_leaves_what_other_networks_compute(build, count):
    torch.manual_seed(0)
    network = build(num_classes=5).double()
    images = torch.randn(4, 3, 64, 64, dtype=torch.float64)
    with torch.no_grad():
        for module in network.modules():
            if isinstance(module, nn.Dropout):
                module.p = 0.0
            if isinstance(module, nn.BatchNorm2d):
                module.eps = 1e-12
        before = network.train()(images)
        weights = normalised_weights(network.eval(), images)
        for weight in weights.values():
            weight.mul_(3)
        torch.testing.assert_close(network.train()(images), before, rtol=1e-4, atol=1e-6)
    assert len(weights) == count


def test_a_layer_whose_output_also_goes_elsewhere_or_is_changed_before_is_none():
    assert set(normalised_weights(PreActivation().eval(), IMAGES)) == {"conv1"}
    norm = nn.BatchNorm2d(4)
    for between in (nn.ReLU(), nn.ReLU(inplace=True), nn.MaxPool2d(2)):
        network = nn.Sequential(nn.Conv2d(3, 4, 3), between, norm).eval()
        assert normalised_weights(network, IMAGES) == {}
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Identity(), norm).eval()
    assert set(normalised_weights(network, IMAGES)) == {"0"}


def test_a_layer_that_is_used_twice_is_one_only_if_both_uses_are_normalised():
    shared = nn.Conv2d(3, 3, 3, padding=1)
    twice = nn.Sequential(shared, nn.BatchNorm2d(3), shared, nn.BatchNorm2d(3)).eval()
    assert set(normalised_weights(twice, IMAGES)) == {"0"}
    once = nn.Sequential(shared, nn.BatchNorm2d(3), shared).eval()
    assert normalised_weights(once, IMAGES) == {}


def test_frozen_layers_count_and_nothing_is_left_behind():
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)).eval().requires_grad_(False)
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    assert set(normalised_weights(network, IMAGES)) == {"0"}
    torch.testing.assert_close(network.state_dict(), before, rtol=0, atol=0)
    assert not network[0]._forward_hooks
    assert not network[1]._forward_pre_hooks


def test_layers_of_several_outputs_named_inputs_and_integers_are_looked_through():
    class Tokens(nn.Module):
        def __init__(self):
            super().__init__()
            self.embedding, self.attention = nn.Embedding(9, 4), nn.MultiheadAttention(4, 2)
            self.linear, self.norm = nn.Linear(4, 6), nn.BatchNorm1d(6)

        def forward(self, tokens):
            x = self.embedding(tokens)
            return self.norm(input=self.linear(self.attention(x, x, x)[0].mean(1)))

    found = normalised_weights(Tokens().eval(), torch.randint(9, (3, 5)))
    assert set(found) == {"linear"}


def test_a_weight_that_two_layers_share_is_none():
    first, second = nn.Conv2d(3, 3, 1, bias=False), nn.Conv2d(3, 3, 1, bias=False)
    second.weight = first.weight
    network = nn.Sequential(first, nn.BatchNorm2d(3), second).eval()
    assert normalised_weights(network, IMAGES) == {}
