"""The layers together, in the network that they were made for."""

import pytest
import torch
from torch import nn
from torchvision.models import resnet18

from regularizer_collection.backbones import ResNet18, layers
from regularizer_collection.regularizers import JacobianPenalty, Step, regularized_loss

REGULARIZERS = {"plain": [], "Jacobian penalty": [JacobianPenalty(0.01)]}


def images():
    return torch.randn(20, 3, 32, 32, generator=torch.Generator().manual_seed(0))


def state_dict():
    torch.manual_seed(0)
    return resnet18(num_classes=10).state_dict()


def gradient(network, regularizers, inputs):
    network.load_state_dict(state_dict())
    labels = torch.arange(20) % 10
    step = Step(network, 10, index=1)
    terms = regularized_loss(network, regularizers, inputs, labels, step)
    return terms, lambda: torch.cat([p.grad.flatten().double() for p in network.parameters()])


@pytest.mark.parametrize("name", REGULARIZERS)
def test_in_bfloat16_they_are_as_near_to_float64_as_torchvisions(name, monkeypatch):
    def errors(network):
        with torch.autocast("cpu", torch.bfloat16):
            terms, gradients = gradient(network, REGULARIZERS[name], images())
        terms.total.backward()
        found = (terms.logits.double(), gradients())
        return [
            ((ours - exact).norm() / exact.norm()).item()
            for ours, exact in zip(found, expected, strict=True)
        ]

    exact, gradients = gradient(
        resnet18(num_classes=10).double(), REGULARIZERS[name], images().double()
    )
    exact.total.backward()
    expected = (exact.logits, gradients())
    theirs = errors(resnet18(num_classes=10))
    assert theirs[0] < 0.1  # so that the comparison means something
    for has_products in (True, False):
        monkeypatch.setattr(layers, "HAS_BFLOAT16_PRODUCTS", has_products)
        ours = errors(ResNet18(10, dropout=0.0))
        assert ours[0] < 1.3 * theirs[0]
        assert ours[1] < 1.2 * theirs[1]


def test_bfloat16_is_rounded_alike_on_processors_with_and_without_kernels_for_it(monkeypatch):
    """Both sum in float32 and round once; the last bit may differ by the order of the sum."""
    conv = layers.LiveTapConv2d(64, 32, 3, padding=1)
    maps = torch.randn(4, 64, 8, 8, generator=torch.Generator().manual_seed(0))
    outputs = []
    for has_products in (True, False):
        monkeypatch.setattr(layers, "HAS_BFLOAT16_PRODUCTS", has_products)
        with torch.autocast("cpu", torch.bfloat16):
            outputs.append(conv(maps))
    with_kernels, without = outputs
    assert with_kernels.dtype == without.dtype == torch.bfloat16
    torch.testing.assert_close(without, with_kernels, rtol=2**-7, atol=1e-6)
    exact = torch.nn.functional.conv2d(
        maps.bfloat16().double(),
        conv.weight.bfloat16().double(),
        conv.bias.bfloat16().double(),
        padding=1,
    )
    torch.testing.assert_close(without.double(), exact, rtol=2**-8, atol=1e-6)


def test_in_bfloat16_they_are_still_the_fast_ones(monkeypatch):
    called = []
    for name in ("conv2d", "batch_norm", "max_pool2d"):
        original = getattr(layers, name)
        monkeypatch.setattr(
            layers, name, lambda *args, f=original, n=name: called.append(n) or f(*args)
        )
    network = ResNet18(10, dropout=0.0)
    with torch.autocast("cpu", torch.bfloat16):
        terms, _ = gradient(network, REGULARIZERS["Jacobian penalty"], images())
    assert (called.count("conv2d"), called.count("batch_norm")) == (20, 20)
    assert "max_pool2d" in called
    assert terms.penalties["jacobian_penalty"].dtype == torch.float32
    assert all(parameter.dtype == torch.float32 for parameter in network.parameters())


@pytest.mark.parametrize("device", ["cuda", "mps"])
def test_where_nothing_was_measured_torchs_own_kernels_run(device, monkeypatch):
    """The choice goes by the type of the device; the CPU stands in for one that is not here."""
    assert device not in layers.MEASURED_FASTER
    monkeypatch.setattr(layers, "MEASURED_FASTER", set())
    for name in ("conv2d", "batch_norm", "max_pool2d"):
        monkeypatch.setattr(layers, name, lambda *args: pytest.fail("ours ran"))
    ours = ResNet18(10, dropout=0.0)
    terms, gradients = gradient(ours, REGULARIZERS["Jacobian penalty"], images())
    terms.total.backward()
    assert gradients().isfinite().all()


@pytest.mark.parametrize(
    "options",
    [
        {"dilation": 2},
        {"padding": 1, "padding_mode": "reflect"},
        {"groups": 2},
        {"padding": "same"},
    ],
    ids=str,
)
def test_a_convolution_of_another_kind_is_torchs(options):
    ours, theirs = layers.LiveTapConv2d(4, 6, 3, **options), nn.Conv2d(4, 6, 3, **options)
    ours.load_state_dict(theirs.state_dict())
    maps = torch.randn(2, 4, 7, 7)
    assert torch.equal(ours(maps), theirs(maps))


def test_maps_of_another_type_than_the_weights_are_refused_as_torch_refuses_them():
    conv = layers.LiveTapConv2d(3, 4, 3, padding=1)
    for maps in (torch.zeros(1, 3, 8, 8, dtype=torch.uint8), torch.zeros(1, 3, 2, 2).double()):
        messages = []
        for layer in (conv, nn.Conv2d(3, 4, 3, padding=1)):
            with pytest.raises(RuntimeError) as refusal:
                layer(maps)
            messages.append(str(refusal.value))
        assert messages[0] == messages[1]
