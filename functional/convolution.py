"""Two-dimensional convolution that multiplies only what can touch data.

On the small maps at the end of a ResNet most taps of a 3x3 kernel only ever see padding. Leaving
them out, and writing what remains as matrix products, gives the same outputs and gradients (those
of the dead taps exactly zero) for a fraction of the work.
"""

from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd import Function

Pair = tuple[int, int]


def conv2d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    stride: Pair,
    padding: Pair,
    twice_differentiable: bool = True,
) -> Tensor:
    """Convolves like ``torch.nn.functional.conv2d``, on the live taps of the kernel only.

    Args:
        input: Maps [batch, channels, height, width], fastest in channels_last memory format.
        weight: Kernels [out channels, channels, kernel height, kernel width], whose live taps are
            cast to the input's type.
        bias: Added to the outputs [out channels], or None.
        stride: Step in pixels along height and width.
        padding: Zeros added on both sides of height and width.
        twice_differentiable: Whether to prepare for a fast second derivative, which costs a little
            in the first. Changes no result.

    Returns:
        Maps [batch, out channels, out height, out width].
    """
    convolve = _convolution if twice_differentiable else _torch_convolution
    rows, columns = map(_live_taps, input.shape[2:], weight.shape[2:], stride, padding)
    out_size = (rows.out_size, columns.out_size)
    bias = bias if bias is None else bias.to(input.dtype)
    if rows.all_live and columns.all_live and max(out_size) > 2:
        return convolve(input, weight.to(input.dtype), bias, stride, padding)

    # In channels_last order, so that the gradient arrives in the layout of the parameter. Padding
    # by less than nothing cuts both axes at once, and its gradient fills both at once.
    cuts = (0, 0, *columns.cuts, *rows.cuts)
    taps = weight.permute(0, 2, 3, 1)
    taps = (F.pad(taps, cuts) if any(cuts) else taps).to(input.dtype)
    if input.shape[2:] == out_size == (2, 2) and taps.shape[1:3] == (3, 3) and stride == (1, 1):
        return _convolve_2x2(input.permute(0, 2, 3, 1), taps, bias)
    margins = (columns.lead, columns.trail, rows.lead, rows.trail)
    input = F.pad(input, margins) if any(margins) else input
    if max(out_size) <= 2:
        return _multiply_patches(input.permute(0, 2, 3, 1), taps, bias, stride, out_size)
    return convolve(input, taps.permute(0, 3, 1, 2), bias, stride, (0, 0))


def _multiply_patches(
    input: Tensor, taps: Tensor, bias: Tensor | None, stride: Pair, out_size: Pair
) -> Tensor:
    """Convolves maps [batch, height, width, channels] as one product with all their patches."""
    if out_size == (1, 1):
        return F.linear(input.flatten(1), taps.flatten(1), bias)[:, :, None, None]
    width = input.shape[2]
    starts = _grid(out_size, (stride[0] * width, stride[1]))
    offsets = _grid((taps.shape[1], taps.shape[2]), (width, 1))
    index = (starts[:, None] + offsets).flatten().to(input.device)
    patches = input.flatten(1, 2).index_select(1, index).view(-1, taps[0].numel())
    outputs = F.linear(patches, taps.flatten(1), bias)
    return outputs.view(-1, *out_size, taps.shape[0]).permute(0, 3, 1, 2)


def _grid(size: Pair, step: Pair) -> Tensor:
    return (torch.arange(size[0])[:, None] * step[0] + torch.arange(size[1]) * step[1]).flatten()


class _LiveTaps(NamedTuple):
    out_size: int
    cuts: Pair
    all_live: bool
    lead: int
    trail: int


def _live_taps(size: int, kernel: int, stride: int, padding: int) -> _LiveTaps:
    """Finds along one axis the taps that meet a pixel, and the padding (or crop, below 0) left."""
    out_size = (size + 2 * padding - kernel) // stride + 1
    last_start = (out_size - 1) * stride
    first, last = max(0, padding - last_start), min(kernel, size + padding)
    if first >= last:  # all outputs are 0, of a padding wider than the kernel
        first, last = 0, kernel
    lead = padding - first
    trail = last_start + last - first - size - lead
    cuts = (-first, last - kernel)
    return _LiveTaps(out_size, cuts, cuts == (0, 0), lead, trail)


# Winograd's minimal filtering for a zero-padded pair of pixels (a, b) and taps (g0, g1, g2): the
# outputs (a g1 + b g2, a g0 + b g1) need three products, (a + b) g1, b (g2 - g1), a (g0 - g1).
# The Kronecker products are the same along both axes: 9 products of the 16 that meet data.
_PIXELS, _TAPS, _OUTPUTS = (
    torch.kron(axis, axis)
    for axis in (
        torch.tensor([[1.0, 1.0], [0.0, 1.0], [1.0, 0.0]]),
        torch.tensor([[0.0, 1.0, 0.0], [0.0, -1.0, 1.0], [1.0, -1.0, 0.0]]),
        torch.tensor([[1.0, 1.0, 0.0], [1.0, 0.0, 1.0]]),
    )
)


def _convolve_2x2(input: Tensor, taps: Tensor, bias: Tensor | None) -> Tensor:
    """Convolves maps [batch, 2, 2, channels] with kernels [out, 3, 3, channels]."""
    batch, out = input.shape[0], taps.shape[0]  # which torch.export can leave open

    def transform(matrix: Tensor, values: Tensor) -> Tensor:
        return (matrix.to(input) @ values.flatten(1)).unflatten(1, values.shape[1:])

    # Stacked, as then their gradients are in channels_last order too; in another one the gradient
    # of batch normalisation takes ten times as long.
    pixels = transform(_PIXELS, torch.stack(input.flatten(1, 2).unbind(1)))
    kernels = transform(_TAPS, torch.stack(taps.flatten(1, 2).unbind(1)))
    outputs = transform(_OUTPUTS, torch.bmm(pixels, kernels.transpose(1, 2)))
    outputs = torch.stack((outputs if bias is None else outputs + bias).unbind(), 1)
    return outputs.view(batch, 2, 2, out).permute(0, 3, 1, 2)


def _torch_convolution(
    input: Tensor, weight: Tensor, bias: Tensor | None, stride: Pair, padding: Pair
) -> Tensor:
    return F.conv2d(input, weight, bias, stride, padding)


def _convolution(
    input: Tensor, weight: Tensor, bias: Tensor | None, stride: Pair, padding: Pair
) -> Tensor:
    # A view: of a parameter itself the engine refuses to say whether its gradient is wanted.
    output = _Convolution.apply(input, weight.view_as(weight), stride, padding)
    return output if bias is None else output + bias[:, None, None]


_FEW_CHANNELS = 8  # up to which the sub-pixel convolution was measured faster


class _Convolution(Function):
    """Convolution whose derivatives of every order use the three kernels of the first order.

    Convolution is linear in input and weight. So the derivatives of its input gradient and weight
    gradient are convolutions and gradients again; PyTorch's own double backward builds the weight's
    part from a transposed convolution instead, at several times the cost.
    """

    generate_vmap_rule = True

    @staticmethod
    def forward(input: Tensor, weight: Tensor, stride: Pair, padding: Pair) -> Tensor:
        return _convolve(input, weight, stride, padding)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        input, weight, ctx.stride, ctx.padding = inputs
        ctx.save_for_backward(input, weight)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        input, weight = ctx.saved_tensors
        needs = (ctx.needs_input_grad[0], _is_weight_gradient_wanted(ctx))
        if not torch.is_grad_enabled():
            return *_gradients(grad, input, weight, ctx.stride, ctx.padding, needs), None, None
        geometry = (ctx.stride, ctx.padding)
        return (
            _InputGradient.apply(grad, weight, input.shape, *geometry) if needs[0] else None,
            _WeightGradient.apply(grad, input, weight.shape, *geometry) if needs[1] else None,
            None,
            None,
        )


class _InputGradient(Function):
    generate_vmap_rule = True

    @staticmethod
    def forward(
        grad: Tensor, weight: Tensor, input_shape: torch.Size, stride: Pair, padding: Pair
    ) -> Tensor:
        input = grad.new_empty(1).expand(input_shape)
        input_grad, _ = _gradients(grad, input, weight, stride, padding, (True, False))
        assert input_grad is not None
        return input_grad

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        grad, weight, _, ctx.stride, ctx.padding = inputs
        ctx.save_for_backward(grad, weight)

    @staticmethod
    def backward(ctx: Any, cotangent: Tensor) -> tuple[Tensor | None, ...]:
        grad, weight = ctx.saved_tensors
        geometry = (ctx.stride, ctx.padding)
        return (
            _Convolution.apply(cotangent, weight, *geometry),
            _WeightGradient.apply(grad, cotangent, weight.shape, *geometry),
            None,
            None,
            None,
        )


class _WeightGradient(Function):
    generate_vmap_rule = True

    @staticmethod
    def forward(
        grad: Tensor, input: Tensor, weight_shape: torch.Size, stride: Pair, padding: Pair
    ) -> Tensor:
        weight = grad.new_empty(1).expand(weight_shape)
        _, weight_grad = _gradients(grad, input, weight, stride, padding, (False, True))
        assert weight_grad is not None
        return weight_grad

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        grad, input, _, ctx.stride, ctx.padding = inputs
        ctx.save_for_backward(grad, input)

    @staticmethod
    def backward(ctx: Any, cotangent: Tensor) -> tuple[Tensor | None, ...]:
        grad, input = ctx.saved_tensors
        geometry = (ctx.stride, ctx.padding)
        return (
            _Convolution.apply(input, cotangent, *geometry),
            _InputGradient.apply(grad, cotangent, input.shape, *geometry),
            None,
            None,
            None,
        )


def _convolve(input: Tensor, weight: Tensor, stride: Pair, padding: Pair) -> Tensor:
    # A backward pass may run under autocast, which on a CPU casts what is given to F.conv2d.
    return torch.convolution(input, weight, None, stride, padding, (1, 1), False, (0, 0), 1)


def _gradients(
    grad: Tensor,
    input: Tensor,
    weight: Tensor,
    stride: Pair,
    padding: Pair,
    needs: tuple[bool, bool],
) -> tuple[Tensor | None, Tensor | None]:
    is_sub_pixel = needs[0] and input.shape[1] <= _FEW_CHANNELS and max(stride) > 1
    mask = (needs[0] and not is_sub_pixel, needs[1], False)
    input_grad = weight_grad = None
    if any(mask):
        input_grad, weight_grad, _ = torch.ops.aten.convolution_backward(
            grad, input, weight, None, stride, padding, (1, 1), False, (0, 0), 1, mask
        )
    if is_sub_pixel:
        input_grad = _sub_pixel_gradient(grad, weight, input.shape[2:], stride, padding)
    return input_grad, weight_grad


def _sub_pixel_gradient(
    grad: Tensor, weight: Tensor, in_size: torch.Size, stride: Pair, padding: Pair
) -> Tensor:
    """Computes the input gradient of a strided convolution as one convolution without stride.

    Pixels at the same place between two steps of the stride meet the same taps. Each such place is
    a channel of the result, whose pixels are put in order afterwards (Shi et al. 2016, arXiv
    1609.07009). For the 3 channels of an image PyTorch's own kernel takes 3 times as long.
    """
    out, channels, *kernel = weight.shape
    taps = [-(-size // step) for size, step in zip(kernel, stride, strict=True)]
    margins = [n * step - size for n, step, size in zip(taps, stride, kernel, strict=True)]
    (top, first_row), (left, first_column) = map(
        _zeros_and_start, in_size, grad.shape[2:], taps, stride, padding
    )
    places = F.pad(weight, (0, margins[1], 0, margins[0]))
    places = places.view(out, channels, taps[0], stride[0], taps[1], stride[1]).flip(2, 4)
    places = places.permute(3, 5, 1, 2, 4, 0).reshape(-1, *taps, out).permute(0, 3, 1, 2)
    pixels = _convolve(grad, places, (1, 1), (top, left))
    batch, _, height, width = pixels.shape
    pixels = pixels.reshape(batch, *stride, channels, height, width).permute(0, 4, 1, 5, 2, 3)
    pixels = pixels.reshape(batch, height * stride[0], width * stride[1], channels)
    pixels = pixels.narrow(1, first_row, in_size[0]).narrow(2, first_column, in_size[1])
    return pixels.contiguous().permute(0, 3, 1, 2)


def _zeros_and_start(size: int, out_size: int, taps: int, stride: int, padding: int) -> Pair:
    """Finds along one axis how many zeros beside the gradient let the result reach all pixels.

    Returns:
        The zeros on either side, and where the first pixel is in the result.
    """
    first, last = padding // stride, (padding + size - 1) // stride
    zeros = max(taps - 1 - first, last - out_size + 1, 0)
    return zeros, padding - (taps - 1 - zeros) * stride


def _is_weight_gradient_wanted(ctx: Any) -> bool:
    """Tells whether this backward pass has a use for the weight's gradient.

    ``needs_input_grad`` is true for every weight that requires a gradient; where only the gradient
    with respect to the images is asked for, as in a Jacobian penalty, that would double the work.
    """
    if not ctx.needs_input_grad[1]:
        return False
    nodes = getattr(ctx, "next_functions", None)  # absent under torch.func transforms
    return nodes is None or torch._C._will_engine_execute_node(nodes[1][0])
