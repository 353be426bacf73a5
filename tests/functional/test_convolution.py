import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.autograd import gradgradcheck

from regularizer_collection.functional.convolution import conv2d

# (height and width, kernel, stride, padding): maps of a ResNet, small maps, odd cases.
GEOMETRIES = [
    ((8, 8), 3, (1, 1), (1, 1)),
    ((4, 4), 3, (2, 2), (1, 1)),
    ((9, 7), 7, (2, 2), (3, 3)),
    ((2, 2), 3, (1, 1), (1, 1)),
    ((2, 2), 5, (1, 1), (2, 2)),
    ((2, 2), 3, (2, 2), (1, 1)),
    ((2, 2), 1, (2, 2), (0, 0)),
    ((1, 1), 3, (1, 1), (1, 1)),
    ((1, 1), 1, (1, 1), (0, 0)),
    ((1, 4), 3, (1, 1), (1, 1)),
    ((3, 1), 3, (1, 2), (1, 1)),
    ((2, 3), 5, (2, 1), (2, 2)),
]


def make(size, kernel, dtype=torch.float64):
    torch.manual_seed(0)
    maps = torch.randn(3, 4, *size, dtype=dtype, requires_grad=True)
    weight = torch.randn(5, 4, kernel, kernel, dtype=dtype, requires_grad=True)
    return maps, weight


@pytest.mark.parametrize("geometry", GEOMETRIES)
def test_equals_torch_forward_and_backward(geometry):
    size, kernel, stride, padding = geometry
    maps, weight = make(size, kernel)
    ours = conv2d(maps, weight, None, stride, padding)
    theirs = F.conv2d(maps, weight, None, stride, padding)
    torch.testing.assert_close(ours, theirs)
    grad = torch.randn_like(theirs)
    for our, their in zip(
        torch.autograd.grad(ours, (maps, weight), grad),
        torch.autograd.grad(theirs, (maps, weight), grad),
        strict=True,
    ):
        torch.testing.assert_close(our, their)


@pytest.mark.parametrize("geometry", GEOMETRIES)
def test_second_derivatives_are_exact(geometry):
    size, kernel, stride, padding = geometry
    maps, weight = make(size, kernel)
    assert gradgradcheck(lambda m, w: conv2d(m, w, None, stride, padding), (maps, weight))


@pytest.mark.parametrize("geometry", GEOMETRIES)
def test_float32_is_within_1e_6_of_torchs_float64(geometry):
    size, kernel, stride, padding = geometry

    def with_gradients(convolve, dtype):
        maps, weight = (tensor.detach().to(dtype).requires_grad_() for tensor in make(size, kernel))
        output = convolve(maps, weight, None, stride, padding)
        return output, *torch.autograd.grad(output.square().sum(), (maps, weight))

    for single, double in zip(
        with_gradients(conv2d, torch.float32),
        with_gradients(F.conv2d, torch.float64),
        strict=True,
    ):
        assert (single.double() - double).norm() / double.norm() < 1e-6


@pytest.mark.parametrize("geometry", GEOMETRIES)
@pytest.mark.parametrize("twice_differentiable", [False, True])
def test_adds_the_bias(geometry, twice_differentiable):
    size, kernel, stride, padding = geometry
    maps, weight = make(size, kernel)
    bias = torch.randn(5, dtype=torch.float64)
    ours = conv2d(maps, weight, bias, stride, padding, twice_differentiable)
    torch.testing.assert_close(ours, F.conv2d(maps, weight, bias, stride, padding))


@pytest.mark.parametrize(("size", "stride", "dead"), [((1, 1), 1, 8), ((2, 2), 2, 5)])
def test_gradients_of_taps_that_see_only_padding_are_exactly_zero(size, stride, dead):
    maps, weight = make(size, 3)
    conv2d(maps, weight, None, (stride, stride), (1, 1)).sum().backward()
    assert int((weight.grad == 0).all(0).all(0).sum()) == dead


def test_the_weight_gradient_keeps_the_memory_format_of_the_weight():
    maps, weight = make((1, 1), 3)
    weight = weight.detach().contiguous(memory_format=torch.channels_last).requires_grad_()
    conv2d(maps, weight, None, (1, 1), (1, 1)).sum().backward()
    assert weight.grad.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize(("size", "stride"), [((2, 2), 1), ((1, 1), 1), ((8, 6), 2)])
def test_derivatives_of_both_orders_stay_in_channels_last(size, stride):
    maps, weight = make(size, 3, torch.float32)
    maps = maps.detach().contiguous(memory_format=torch.channels_last).requires_grad_()
    output = conv2d(maps, weight, None, (stride, stride), (1, 1))
    vectors = output.detach().clone().requires_grad_()
    (gradient,) = torch.autograd.grad(output, maps, vectors, create_graph=True)
    (second,) = torch.autograd.grad(gradient.square().sum(), vectors)
    for values in (output, gradient, second):
        assert values.is_contiguous(memory_format=torch.channels_last)


def test_weights_are_cast_to_the_type_of_the_maps_and_their_gradients_back():
    maps, weight = make((2, 2), 3, torch.float32)
    output = conv2d(maps.bfloat16(), weight, None, (2, 2), (1, 1))
    (gradient,) = torch.autograd.grad(output.float().sum(), weight)
    expected = F.conv2d(maps.bfloat16(), weight.bfloat16(), None, (2, 2), (1, 1))
    torch.testing.assert_close(output, expected)
    assert gradient.dtype == torch.float32


def test_jacrev_and_vmap_pass_through():
    maps, weight = make((6, 6), 3)
    ours = torch.func.jacrev(lambda w: conv2d(maps, w, None, (1, 1), (1, 1)))(weight.detach())
    theirs = torch.func.jacrev(lambda w: F.conv2d(maps, w, padding=1))(weight.detach())
    torch.testing.assert_close(ours, theirs)
    per_sample = torch.func.vmap(lambda m: conv2d(m[None], weight, None, (1, 1), (1, 1))[0])(maps)
    torch.testing.assert_close(per_sample, F.conv2d(maps, weight, padding=1))


def test_batched_gradients_of_strided_convolutions_pass_through():
    maps, weight = make((8, 6), 5)
    vectors = torch.randn(4, 3, 5, 4, 3, dtype=torch.float64)
    ours, theirs = (
        torch.autograd.grad(
            convolve(maps, weight, None, (2, 2), (2, 2)), maps, vectors, is_grads_batched=True
        )
        for convolve in (conv2d, F.conv2d)
    )
    torch.testing.assert_close(ours, theirs)


def test_gradients_for_several_weights_at_once_pass_through():
    maps, weight = make((8, 6), 5)

    def of(convolve):
        def loss(maps, weight):
            return convolve(maps, weight, None, (2, 2), (2, 2)).square().sum()

        gradient = torch.func.vmap(torch.func.grad(loss), in_dims=(None, 0))
        return gradient(maps.detach(), torch.stack([weight, 2 * weight]).detach())

    torch.testing.assert_close(of(conv2d), of(F.conv2d))


def test_no_weight_gradient_is_computed_when_only_the_images_gradient_is_asked_for(monkeypatch):
    from regularizer_collection.functional import convolution

    needs_seen = []
    original = convolution._gradients

    def spy(*args):
        needs_seen.append(args[-1])
        return original(*args)

    monkeypatch.setattr(convolution, "_gradients", spy)
    maps, weight = make((6, 6), 3)
    torch.autograd.grad(conv2d(maps, weight, None, (1, 1), (1, 1)).sum(), maps)
    torch.autograd.grad(conv2d(maps, weight, None, (1, 1), (1, 1)).sum(), weight)
    conv2d(maps, weight, None, (1, 1), (1, 1)).sum().backward()
    assert needs_seen[0] == (True, False)
    assert needs_seen[-1] == (True, True)
    assert weight.grad is not None


SMALL = st.integers(1, 8)


@settings(deadline=None, max_examples=200, derandomize=True)
@given(
    size=st.tuples(SMALL, SMALL),
    channels=st.sampled_from([1, 3, 4]),
    kernel=st.sampled_from([1, 2, 3, 5, 7]),
    stride=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    padding=st.tuples(st.integers(0, 3), st.integers(0, 3)),
)
def test_any_small_map_grey_ones_too_equals_torch(size, channels, kernel, stride, padding):
    if any(side + 2 * pad < kernel for side, pad in zip(size, padding, strict=True)):
        return  # torch refuses these as well
    torch.manual_seed(0)
    maps = torch.randn(2, channels, *size, dtype=torch.float64, requires_grad=True)
    weight = torch.randn(3, channels, kernel, kernel, dtype=torch.float64, requires_grad=True)
    ours, theirs = (
        [output, *torch.autograd.grad(output.square().sum(), (maps, weight))]
        for output in (
            convolve(maps, weight, None, stride, padding) for convolve in (conv2d, F.conv2d)
        )
    )
    torch.testing.assert_close(ours, theirs)
