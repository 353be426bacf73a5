import copy

import pytest
import torch
from torch import nn
from torch.nn.utils.parametrizations import weight_norm

from regularizer_collection.backbones import LeNet, ResNet18
from regularizer_collection.lightning_modules import NoRegClassifier


def without_pooling(network):
    network.maxpool = nn.Identity()


def with_another_eps(network):
    network.layer2[0].bn1.eps = 1e-2


def with_a_larger_head(network):
    network.fc = nn.Linear(512, 12)


def with_a_computed_weight(network):
    weight_norm(network.fc)


@pytest.mark.parametrize(
    "change",
    [without_pooling, with_another_eps, with_a_larger_head, with_a_computed_weight],
    ids=lambda change: change.__name__,
)
def test_a_changed_network_is_measured_as_it_is(change):
    network = ResNet18(10)
    assert network.is_as_built()
    change(network)
    assert not network.is_as_built()
    images = torch.randn(4, 3, 32, 32)
    expected = copy.deepcopy(network).eval()(images)
    with NoRegClassifier(network).for_inference() as measured:
        torch.testing.assert_close(measured(images), expected)


class Own(ResNet18):
    def __init__(self):
        super().__init__(10)

    def forward(self, images):
        return 2 * super().forward(images)


def test_a_subclass_is_measured_as_it_is():
    network = Own()
    images = torch.randn(2, 3, 32, 32)
    with NoRegClassifier(network).for_inference() as measured:
        torch.testing.assert_close(measured(images), copy.deepcopy(network).eval()(images))


def test_training_and_trainers_change_no_structure():
    network = ResNet18(10)
    network.train()(torch.randn(4, 3, 32, 32)).sum().backward()
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = None  # as weight averaging sets it
    assert nn.SyncBatchNorm.convert_sync_batchnorm(network).is_as_built()
    assert LeNet().is_as_built()


def test_a_changed_network_is_not_made_again_from_a_checkpoint(tmp_path, tiny_data, make_trainer):
    for network, is_noted in ((ResNet18(100, stem="cifar"), True), (ResNet18(100), False)):
        if not is_noted:
            without_pooling(network)
        trainer = make_trainer(max_steps=1)
        trainer.fit(NoRegClassifier(network), tiny_data)
        trainer.save_checkpoint(tmp_path / "a.ckpt")
        assert ("resnet18" in torch.load(tmp_path / "a.ckpt", weights_only=True)) == is_noted
