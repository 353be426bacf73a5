import pytest
import torch
from torch import nn
from torchvision.models.resnet import BasicBlock

from regularizer_collection.backbones import ResNet18
from regularizer_collection.lightning_modules import NoRegClassifier, StochasticDepthClassifier


def block_outputs(p_last, images, training=True):
    """What the last block's branch gives, before the shortcut is added."""
    torch.manual_seed(0)
    network = StochasticDepthClassifier(p_last, backbone=nn.Sequential(BasicBlock(4, 4)))
    seen = []
    network.backbone[0].bn2.register_forward_hook(lambda *args: seen.append(args[2].clone()))
    network.backbone.train(training)
    network.backbone(images)
    return seen[0]


def images(size):
    return torch.randn(size, 4, 5, 5, generator=torch.Generator().manual_seed(1))


def test_the_share_of_dropped_samples_is_binomial_and_the_mean_is_kept():
    x = images(2000)
    kept, dropped = block_outputs(0.0, x), block_outputs(0.3, x)
    is_dropped = (dropped == 0).flatten(1).all(1)
    assert is_dropped.float().mean().item() == pytest.approx(0.3, abs=4 * (0.21 / 2000) ** 0.5)
    torch.testing.assert_close(dropped[~is_dropped], kept[~is_dropped] / 0.7)


def test_nothing_is_dropped_in_eval_mode():
    x = images(50)
    assert torch.equal(block_outputs(0.9, x, training=False), block_outputs(0.0, x, training=False))


def test_the_rate_rises_with_depth():
    torch.manual_seed(0)
    network = StochasticDepthClassifier(0.8, backbone=ResNet18(5, dropout=0.0))
    blocks = [m for m in network.backbone.modules() if isinstance(m, BasicBlock)]
    shares = []
    for block in blocks:
        block.bn2.register_forward_hook(
            lambda *args: shares.append((args[2] == 0).flatten(1).all(1).float().mean().item())
        )
    network.backbone(torch.randn(400, 3, 32, 32))
    expected = [0.8 * i / 8 for i in range(1, 9)]
    assert shares == pytest.approx(expected, abs=0.1)


def test_with_probability_0_it_is_no_reg_bit_for_bit():
    outputs = []
    for cls, arguments in ((NoRegClassifier, {}), (StochasticDepthClassifier, {"p_last": 0.0})):
        torch.manual_seed(0)
        network = cls(backbone=ResNet18(5), **arguments)
        torch.manual_seed(1)
        outputs.append(network(torch.ones(4, 3, 32, 32)))
    assert torch.equal(*outputs)


def test_names_of_the_state_dict_stay_torchvisions():
    network = StochasticDepthClassifier(backbone=ResNet18(5))
    assert list(network.backbone.state_dict()) == list(ResNet18(5).state_dict())


def test_a_backbone_without_residual_blocks_is_refused():
    with pytest.raises(ValueError, match="Linear has no residual blocks of torchvision's"):
        StochasticDepthClassifier(backbone=nn.Linear(2, 2))


def test_a_probability_out_of_range_is_refused():
    with pytest.raises(ValueError, match=r"p_last is 1\.5; give a number from 0 to 1"):
        StochasticDepthClassifier(1.5, backbone=nn.Sequential(BasicBlock(4, 4)))


def test_layers_that_were_replaced_since_are_refused(make_trainer, tiny_data):
    model = StochasticDepthClassifier(backbone=ResNet18(100))
    converted = nn.SyncBatchNorm.convert_sync_batchnorm(model)
    with pytest.raises(ValueError, match="a layer that ends a residual branch was replaced"):
        make_trainer(max_steps=1).fit(converted, tiny_data)
