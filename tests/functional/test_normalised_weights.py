import pytest
import torch
import torchvision
from torch import nn

from regularizer_collection.backbones import ResNet18
from regularizer_collection.functional.normalised_weights import normalised_weights


def test_they_are_all_convolutions_of_a_resnet_and_not_its_last_layer():
    network = ResNet18()
    convolutions = {n for n, m in network.named_modules() if isinstance(m, nn.Conv2d)}
    assert set(normalised_weights(network)) == convolutions
    assert len(convolutions) == 20


@pytest.mark.parametrize("build", [torchvision.models.mobilenet_v2, torchvision.models.densenet121])
def test_scaling_them_leaves_what_other_networks_compute(build):
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
        weights = normalised_weights(network)
        for weight in weights.values():
            weight.mul_(3)
        torch.testing.assert_close(network(images), before, rtol=1e-4, atol=1e-6)
    assert len(weights) > 50


def test_a_layer_of_another_width_does_not_stand_before_it():
    network = nn.Sequential(nn.Linear(3, 4), nn.Identity(), nn.BatchNorm1d(4), nn.Linear(4, 5))
    assert set(normalised_weights(network)) == {"0"}
    assert normalised_weights(nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(3))) == {}
