"""Batch normalisation in training mode, differentiable twice, in one process and in many."""

from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable


def batch_norm(
    input: Tensor,
    weight: Tensor,
    bias: Tensor,
    running_mean: Tensor,
    running_var: Tensor,
    momentum: float,
    eps: float,
) -> Tensor:
    """Normalises with the statistics of the batch and updates the running ones in place.

    The same function and gradient as ``torch.nn.functional.batch_norm(training=True)``. Its second
    derivative, which a gradient penalty needs, takes 3 reductions here; PyTorch composes it from
    about 30.

    Args:
        input: Maps [batch, channels, height, width].
        weight: Scale [channels].
        bias: Shift [channels].
        running_mean: Running mean [channels].
        running_var: Running variance [channels].
        momentum: Weight of the batch in the running statistics.
        eps: Added to the variance.

    Returns:
        Normalised maps, shaped like the input.
    """
    return _BatchNorm.apply(input, weight, bias, running_mean, running_var, momentum, eps)


def synchronized_batch_norm(
    input: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    momentum: float | Tensor,
    eps: float,
) -> Tensor:
    """Normalises with the statistics of the batches of all processes, however they share them.

    The gradient with respect to the input is that of the sum over all processes. Differentiable any
    number of times and on any device, both unlike ``torch.nn.SyncBatchNorm``. All processes must
    differentiate alike, as each derivative sums over them too.

    Args:
        input: Maps [batch, channels, ...] of this process.
        weight: Scale [channels], or None.
        bias: Shift [channels], or None.
        running_mean: Running mean [channels], updated in place, or None.
        running_var: Running variance [channels], updated in place, or None.
        momentum: Weight of the batches in the running statistics.
        eps: Added to the variance.

    Returns:
        Normalised maps, shaped like the input and of its type.
    """
    pixels = [axis for axis in range(input.ndim) if axis != 1]
    values = input.to(torch.promote_types(input.dtype, torch.float32))
    size = values.new_full((1,), input.numel() / input.shape[1])
    total = _SumOverProcesses.apply(torch.cat([values.sum(pixels), size]))
    count, mean = total[-1], total[:-1] / total[-1]
    centred = values - _channels(mean, input)
    variance = _SumOverProcesses.apply(centred.square().sum(pixels)) / count
    if running_mean is not None and running_var is not None:
        with torch.no_grad():
            unbiased = variance * count / (count - 1)
            for kept, new in ((running_mean, mean), (running_var, unbiased)):
                kept.copy_(kept.to(new.dtype).lerp(new, momentum))
    scale = (variance + eps).rsqrt()
    scale = scale if weight is None else scale * weight
    output = centred * _channels(scale, input)
    output = output if bias is None else output + _channels(bias, input)
    return output.to(input.dtype)


class _SumOverProcesses(Function):
    """Sums a tensor over all processes, and so the gradients that they send back."""

    @staticmethod
    def forward(ctx: Any, values: Tensor) -> Tensor:
        total = values.clone()
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        return _SumOverProcesses.apply(grad)


class _BatchNorm(Function):
    @staticmethod
    def forward(
        ctx: Any,
        input: Tensor,
        weight: Tensor,
        bias: Tensor,
        running_mean: Tensor,
        running_var: Tensor,
        momentum: float,
        eps: float,
    ) -> Tensor:
        output, mean, inverse_std = torch.native_batch_norm(
            input, weight, bias, running_mean, running_var, True, momentum, eps
        )
        ctx.save_for_backward(input, weight, mean, inverse_std)
        return output

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        return *_BatchNormGradient.apply(grad, *ctx.saved_tensors), None, None, None, None


class _BatchNormGradient(Function):
    """The gradients (dx, dw, db) of batch normalisation, differentiable once.

    With x^ = (x - mean) / std, < > the mean over the pixels of a channel, and g the gradient:
    dx = w / std (g - <g> - x^ <g x^>). For a cotangent u of dx, writing a = <g>, b = <g x^>,
    c = <u>, d = <u x^>, s = <u (g - a)> - b d and n for the number of pixels:

        d/dg = w / std (u - c - x^ d)
        d/dw = n s / std
        d/dx = -w / std^2 (d g + b u + (s - 2 b d) x^ - a d - b c)

    PyTorch's kernel of the gradient makes all the reductions: given u for g, it returns the first
    line, n d and n c; given maps g of mean a and deviation 1 for x, n <u (g - a)> for the weight.
    """

    @staticmethod
    def forward(
        ctx: Any,
        grad: Tensor,
        input: Tensor,
        weight: Tensor,
        mean: Tensor,
        inverse_std: Tensor,
    ) -> tuple[Tensor, Tensor, Tensor]:
        ctx.set_materialize_grads(False)
        grad = _in_order_of(input, grad)
        gradients = _gradients(grad, input, weight, mean, inverse_std)
        ctx.save_for_backward(grad, input, weight, mean, inverse_std, *gradients[1:])
        return gradients

    @staticmethod
    @once_differentiable
    def backward(
        ctx: Any,
        cotangent: Tensor | None,
        weight_cotangent: Tensor | None,
        bias_cotangent: Tensor | None,
    ) -> tuple[Tensor | None, ...]:
        grad, input, weight, mean, inverse_std, weight_grad, bias_grad = ctx.saved_tensors
        g = _pixels(grad).to(mean.dtype)  # the statistics of 16-bit maps are in 32 bits
        x = _pixels(input).to(mean.dtype)
        a, b = bias_grad / len(g), weight_grad / len(g)
        grad_g = grad_x = x.new_zeros(())
        grad_weight = torch.zeros_like(weight)
        if cotangent is not None:
            cotangent = _in_order_of(input, cotangent)
            grad_g, *sums = _gradients(cotangent, input, weight, mean, inverse_std)
            d, c = (total / len(g) for total in sums)
            one = torch.ones_like(mean)
            _, covariance, _ = _gradients(cotangent, grad, one, a, one, (False, True, False))
            s = covariance / len(g) - b * d
            scale = -weight * inverse_std.square()
            of_x = scale * (s - 2 * b * d) * inverse_std
            constant = -scale * (a * d + b * c) - of_x * mean
            grad_x = torch.addcmul(constant, g, scale * d)
            grad_x.addcmul_(_pixels(cotangent).to(mean.dtype), scale * b).addcmul_(x, of_x)
            grad_weight = len(g) * s * inverse_std
        if weight_cotangent is not None:
            x = (x - mean) * inverse_std
            grad_g = grad_g + _maps(x * weight_cotangent, grad)
            grad_x = grad_x + (g - a - x * b) * (weight_cotangent * inverse_std)
        if bias_cotangent is not None:
            grad_g = grad_g + bias_cotangent[:, None, None]
        maps = (
            grad_g.expand_as(grad).to(grad.dtype),
            _maps(grad_x.expand_as(g).to(input.dtype), input),
        )
        return *maps, grad_weight, None, None


def _gradients(
    grad: Tensor,
    input: Tensor,
    weight: Tensor,
    mean: Tensor,
    inverse_std: Tensor,
    needs: tuple[bool, bool, bool] = (True, True, True),
) -> tuple[Tensor, Tensor, Tensor]:
    # eps is in the inverse deviation; PyTorch asks for it where it takes running statistics.
    return torch.ops.aten.native_batch_norm_backward(
        grad, input, weight, None, None, mean, inverse_std, True, 0.0, [*needs]
    )


def _in_order_of(input: Tensor, grad: Tensor) -> Tensor:
    """Orders a gradient in memory as the maps; in another order the kernel is ten times slower."""
    is_channels_last = input.is_contiguous(memory_format=torch.channels_last)
    order = torch.channels_last if is_channels_last else torch.contiguous_format
    return grad.contiguous(memory_format=order)


def _channels(values: Tensor, like: Tensor) -> Tensor:
    return values.view(-1, *[1] * (like.ndim - 2))


def _pixels(maps: Tensor) -> Tensor:
    return maps.permute(0, 2, 3, 1).reshape(-1, maps.shape[1])


def _maps(pixels: Tensor, like: Tensor) -> Tensor:
    batch, channels, height, width = like.shape
    return pixels.view(batch, height, width, channels).permute(0, 3, 1, 2)
