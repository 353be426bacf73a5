import pytest
import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch.autograd import gradcheck, gradgradcheck
from torch.utils._python_dispatch import TorchDispatchMode

from regularizer_collection.functional.batch_norm import batch_norm, synchronized_batch_norm


@pytest.fixture(autouse=True, scope="module")
def process_group():
    dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
    yield
    dist.destroy_process_group()


both = pytest.mark.parametrize("normalise", [batch_norm, synchronized_batch_norm])


def make():
    torch.manual_seed(0)
    maps = torch.randn(4, 3, 2, 3, dtype=torch.float64, requires_grad=True)
    weight = torch.randn(3, dtype=torch.float64, requires_grad=True)
    bias = torch.randn(3, dtype=torch.float64, requires_grad=True)
    return maps, weight, bias


def running(dtype=torch.float64):
    return torch.zeros(3, dtype=dtype), torch.ones(3, dtype=dtype)


def torchs(maps, weight, bias, mean, var, momentum, eps):
    return F.batch_norm(maps, mean, var, weight, bias, True, momentum, eps)


@both
def test_equals_torch_and_updates_the_running_statistics_alike(normalise):
    maps, weight, bias = make()
    ours, theirs = running(), running()
    output = normalise(maps, weight, bias, *ours, 0.1, 1e-5)
    expected = torchs(maps, weight, bias, *theirs, 0.1, 1e-5)
    torch.testing.assert_close(output, expected)
    torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize("momentum", [0.1, torch.tensor(0.1)])
def test_running_statistics_of_16_bits_move_as_those_of_more_bits_do(momentum):
    maps, weight, bias = make()
    ours, theirs = running(torch.bfloat16), running()
    half = (tensor.bfloat16() for tensor in (maps, weight, bias))
    output = synchronized_batch_norm(*half, *ours, momentum, 1e-5)
    torchs(maps, weight, bias, *theirs, 0.1, 1e-5)
    assert output.dtype == torch.bfloat16
    for found, expected in zip(ours, theirs, strict=True):
        torch.testing.assert_close(found.double(), expected, rtol=0.01, atol=0.001)


@both
def test_first_and_second_derivatives_are_exact(normalise):
    def with_statistics(*inputs):
        return normalise(*inputs, *running(), 0.1, 1e-5)

    assert gradcheck(with_statistics, make())
    assert gradgradcheck(with_statistics, make())


@pytest.mark.parametrize("order", [torch.channels_last, torch.contiguous_format])
def test_torchs_kernel_gets_gradients_in_the_order_of_the_maps(order):
    """In another one it takes ten times as long."""

    class Spy(TorchDispatchMode):
        orders = ()

        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            if func is torch.ops.aten.native_batch_norm_backward.default:
                self.orders += tuple(maps.is_contiguous(memory_format=order) for maps in args[:2])
            return func(*args, **(kwargs or {}))

    maps, weight, bias = make()
    maps = maps.detach().contiguous(memory_format=order).requires_grad_()
    output = batch_norm(maps, weight, bias, *running(), 0.1, 1e-5)
    others = torch.randn(2, *maps.shape, dtype=maps.dtype).transpose(3, 4).contiguous()
    grad, cotangent = others.transpose(3, 4)
    with Spy() as spy:
        (gradient,) = torch.autograd.grad(output, maps, grad.requires_grad_(), create_graph=True)
        torch.autograd.grad(gradient, maps, cotangent)
    assert spy.orders == (True,) * 6


@both
def test_float32_is_within_2e_6_of_torchs_float64_up_to_the_second_derivative(normalise):
    def penalty_gradients(normalise, dtype):
        maps, weight, bias = (
            (tensor.detach() + offset).float().to(dtype).requires_grad_()
            for tensor, offset in zip(make(), (10.0, 0.0, 0.0), strict=True)
        )
        statistics = running(dtype)
        output = normalise(maps, weight, bias, *statistics, 0.1, 1e-5)
        (gradient,) = torch.autograd.grad(output.pow(3).sum(), maps, create_graph=True)
        seconds = torch.autograd.grad(gradient.square().sum(), (maps, weight))
        return output, gradient, *seconds, *statistics

    for single, double in zip(
        penalty_gradients(normalise, torch.float32),
        penalty_gradients(torchs, torch.float64),
        strict=True,
    ):
        error = (single.double() - double).norm() / double.norm()
        assert error < 2e-6
