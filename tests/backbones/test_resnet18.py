import pytest
import torch
import torchvision

from regularizer_collection.backbones import ResNet18


def pair(dtype=torch.float32):
    torch.manual_seed(0)
    stock = torchvision.models.resnet18(num_classes=10).to(dtype)
    ours = ResNet18(num_classes=10, dropout=0.0).to(dtype)
    ours.load_state_dict(stock.state_dict())
    return ours, stock


@pytest.mark.parametrize("size", [32, 64, 33])
def test_outputs_equal_torchvisions_on_the_same_state_dict(size):
    ours, stock = pair()
    images = torch.randn(4, 3, size, size)
    torch.testing.assert_close(ours.eval()(images), stock.eval()(images), rtol=1e-5, atol=1e-5)


def test_training_outputs_gradients_and_statistics_equal_torchvisions():
    ours, stock = pair(torch.float64)
    images = torch.randn(8, 3, 32, 32, dtype=torch.float64)
    for model in (ours, stock):
        torch.nn.functional.cross_entropy(model(images), torch.arange(8)).backward()
    for (name, our), their in zip(ours.named_parameters(), stock.parameters(), strict=True):
        torch.testing.assert_close(our.grad, their.grad, rtol=1e-5, atol=1e-9, msg=name)
    torch.testing.assert_close(ours.state_dict(), stock.state_dict())


def test_gradients_of_dead_taps_are_exactly_zero():
    ours, _ = pair()
    ours(torch.randn(4, 3, 32, 32)).sum().backward()
    grad = ours.layer4[1].conv2.weight.grad
    assert grad[:, :, 1, 1].abs().sum() > 0
    assert torch.count_nonzero(grad) == torch.count_nonzero(grad[:, :, 1, 1])


def test_penalty_gradients_equal_torchvisions():
    ours, stock = pair(torch.float64)
    images = torch.randn(6, 3, 32, 32, dtype=torch.float64)
    vectors = torch.randn(6, 10, dtype=torch.float64)
    for model in (ours, stock):
        inputs = images.clone().requires_grad_()
        (gradient,) = torch.autograd.grad(model(inputs), inputs, vectors, create_graph=True)
        gradient.square().sum().backward()
    for (name, our), their in zip(ours.named_parameters(), stock.named_parameters(), strict=True):
        if their[1].grad is not None:
            torch.testing.assert_close(our.grad, their[1].grad, rtol=1e-5, atol=1e-9, msg=name)


def test_the_same_seed_draws_torchvisions_initial_weights():
    torch.manual_seed(3)
    stock = torchvision.models.resnet18(num_classes=10)
    torch.manual_seed(3)
    torch.testing.assert_close(ResNet18(num_classes=10).state_dict(), stock.state_dict())


def test_it_has_the_parameters_of_the_source_experiment():
    assert sum(p.numel() for p in ResNet18().parameters()) == 11_227_812


def test_dropout_acts_before_the_last_layer_in_training_only():
    model = ResNet18(num_classes=10, dropout=1.0)
    images = torch.randn(4, 3, 32, 32)
    torch.testing.assert_close(model(images), model.fc.bias.expand(4, 10))
    assert not torch.equal(model.eval()(images), model.fc.bias.expand(4, 10))


def test_the_cifar_stem_keeps_the_resolution():
    model = ResNet18(stem="cifar").eval()
    assert model.conv1.weight.shape == (64, 3, 3, 3)
    assert model.maxpool(model.conv1(torch.randn(1, 3, 32, 32))).shape == (1, 64, 32, 32)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"dropout": -0.1}, "dropout is -0.1; give a number from 0 to 1"),
        ({"dropout": 1.1}, "dropout is 1.1; give a number from 0 to 1"),
        ({"stem": "vgg"}, "stem is 'vgg'; give 'imagenet' or 'cifar'"),
        ({"num_classes": 0}, "num_classes is 0; give 1 or more"),
    ],
)
def test_refuses_wrong_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        ResNet18(**arguments)


def test_folding_batch_normalisation_changes_no_output():
    torch.manual_seed(0)
    model = ResNet18(num_classes=10)
    for _ in range(3):
        model(torch.randn(16, 3, 32, 32))
    images = torch.randn(5, 3, 32, 32)
    logits = model.eval()(images)
    folded = model.folded()
    torch.testing.assert_close(folded(images), logits, rtol=1e-4, atol=1e-5)
    assert torch.equal(model(images), logits)
    assert not any(isinstance(module, torch.nn.BatchNorm2d) for module in folded.modules())
