import pytest
import torch
import torch.nn.functional as F
from torch.autograd import gradcheck, gradgradcheck

from regularizer_collection.functional.max_pooling import max_pool2d


def maps(memory_format, dtype=torch.float64):
    torch.manual_seed(0)
    values = torch.randn(2, 3, 8, 8, dtype=dtype)
    return values.contiguous(memory_format=memory_format).requires_grad_()


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
def test_equals_torch_forward_and_backward(memory_format):
    input = maps(memory_format)
    ours, theirs = max_pool2d(input, 3, 2, 1), F.max_pool2d(input, 3, 2, 1)
    assert torch.equal(ours, theirs)
    grad = torch.randn_like(theirs)
    (our_gradient,) = torch.autograd.grad(ours, input, grad)
    (their_gradient,) = torch.autograd.grad(theirs, input, grad)
    torch.testing.assert_close(our_gradient, their_gradient)


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
def test_both_derivatives_are_exact(memory_format):
    assert gradcheck(lambda x: max_pool2d(x, 3, 2, 1), maps(memory_format))
    assert gradgradcheck(lambda x: max_pool2d(x, 3, 2, 1).pow(3), maps(memory_format))


def test_gradients_of_a_penalty_keep_the_memory_format():
    input = maps(torch.channels_last)
    seen = []
    doubled = 2 * input
    doubled.register_hook(lambda grad: seen.append(grad))
    (gradient,) = torch.autograd.grad(
        max_pool2d(doubled, 3, 2, 1).pow(2).sum(), input, create_graph=True
    )
    gradient.square().sum().backward()
    assert all(grad.is_contiguous(memory_format=torch.channels_last) for grad in seen)


def test_float32_selects_what_float64_selects():
    single = maps(torch.channels_last, torch.float32)
    double = single.detach().double().requires_grad_()
    ours, theirs = max_pool2d(single, 3, 2, 1), F.max_pool2d(double, 3, 2, 1)
    assert torch.equal(ours.double(), theirs)
    (our_gradient,) = torch.autograd.grad(ours.square().sum(), single)
    (their_gradient,) = torch.autograd.grad(theirs.square().sum(), double)
    torch.testing.assert_close(our_gradient.double(), their_gradient, rtol=1e-6, atol=0)
