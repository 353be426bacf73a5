import pytest
import torch
from torch import nn

from regularizer_collection.backbones import LeNet
from regularizer_collection.functional import jacobian_norm_squared
from regularizer_collection.lightning_modules import JacobianClassifier


def test_has_lenet_5s_61706_parameters():
    # (25 + 1) 6 + (150 + 1) 16 + (400 + 1) 120 + (120 + 1) 84 + (84 + 1) 10
    assert sum(weight.numel() for weight in LeNet().parameters()) == 61_706


def test_in_eval_mode_it_is_the_naive_composition_of_its_layers():
    torch.manual_seed(0)
    network = LeNet().eval()
    weights = dict(network.named_parameters())
    images = torch.randn(3, 1, 28, 28)
    maps = images
    for layer in ("0", "3"):
        convolved = nn.functional.conv2d(
            maps,
            weights[f"features.{layer}.weight"],
            weights[f"features.{layer}.bias"],
            padding=2 if layer == "0" else 0,
        ).relu()
        corners = [convolved[:, :, row::2, column::2] for row in (0, 1) for column in (0, 1)]
        maps = torch.stack(corners).amax(0)
    features = maps.reshape(3, 400)
    for layer in ("features.7", "features.9", "fc"):
        features = features @ weights[f"{layer}.weight"].T + weights[f"{layer}.bias"]
        features = features if layer == "fc" else features.clamp(min=0)
    torch.testing.assert_close(network(images), features)


def test_dropout_zeroes_features_of_the_last_layer_in_training_alone():
    network = LeNet(dropout=1.0)
    images = torch.randn(2, 1, 28, 28)
    torch.testing.assert_close(network(images), network.fc.bias.expand(2, 10))
    assert not torch.allclose(network.eval()(images), network.fc.bias.expand(2, 10))


def test_its_jacobian_penalty_can_be_differentiated():
    network = LeNet(dropout=0.0)
    images = torch.randn(2, 1, 28, 28, requires_grad=True)
    jacobian_norm_squared(network(images), images).mean().backward()
    assert network.features[0].weight.grad.norm() > 0


@pytest.mark.parametrize("shape", [(2, 3, 28, 28), (2, 1, 32, 32)])
def test_refuses_other_images_by_shape(shape):
    with pytest.raises(ValueError, match=r"images are \(\d, \d\d, \d\d\).*MNISTDataModule"):
        LeNet()(torch.zeros(shape))


@pytest.mark.parametrize("arguments", [{"num_classes": 0}, {"dropout": 1.5}])
def test_refuses_arguments_out_of_range(arguments):
    with pytest.raises(ValueError, match=f"{next(iter(arguments))} is"):
        LeNet(**arguments)


def test_a_checkpoint_brings_it_back(make_trainer, tmp_path):
    module = JacobianClassifier(backbone=LeNet(4, dropout=0.25), num_classes=4)
    trainer = make_trainer(max_epochs=0)
    batches = [(torch.zeros(2, 1, 28, 28), torch.zeros(2, dtype=torch.int64))]
    trainer.fit(module, batches, batches)
    trainer.save_checkpoint(tmp_path / "last.ckpt")
    again = JacobianClassifier.load_from_checkpoint(tmp_path / "last.ckpt")
    assert again.backbone.arguments == {"num_classes": 4, "dropout": 0.25}
    torch.testing.assert_close(again.backbone.state_dict(), module.backbone.state_dict())
