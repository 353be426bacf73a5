"""Max pooling whose second derivative touches only what it selects."""

from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable


def max_pool2d(input: Tensor, kernel_size: int, stride: int, padding: int) -> Tensor:
    """Pools like ``torch.nn.functional.max_pool2d``, differentiable twice.

    PyTorch's second derivative adds an input gradient that is zero everywhere and in another memory
    format, which makes all that follows several times slower.

    Args:
        input: Maps [batch, channels, height, width].
        kernel_size: Height and width of the window.
        stride: Step of the window.
        padding: Pixels around the map that no window selects.

    Returns:
        Maps [batch, channels, out height, out width].
    """
    return _MaxPool.apply(input, kernel_size, stride, padding)


class _MaxPool(Function):
    @staticmethod
    def forward(ctx: Any, input: Tensor, kernel_size: int, stride: int, padding: int) -> Tensor:
        ctx.window = (kernel_size, stride, padding)
        output, indices = torch.ops.aten.max_pool2d_with_indices(
            input, *([size, size] for size in ctx.window)
        )
        ctx.save_for_backward(input, indices)
        return output

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        input, indices = ctx.saved_tensors
        # Which pixels are selected does not change with the input: no derivative passes through it.
        return _MaxPoolGradient.apply(grad, input.detach(), indices, ctx.window), None, None, None


class _MaxPoolGradient(Function):
    @staticmethod
    def forward(
        ctx: Any, grad: Tensor, input: Tensor, indices: Tensor, window: tuple[int, int, int]
    ) -> Tensor:
        ctx.save_for_backward(indices)
        kernel_size, stride, padding = ([size, size] for size in window)
        return torch.ops.aten.max_pool2d_with_indices_backward(
            grad, input, kernel_size, stride, padding, [1, 1], False, indices
        )

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, cotangent: Tensor) -> tuple[Tensor | None, ...]:
        (indices,) = ctx.saved_tensors
        selected = cotangent.flatten(2).gather(2, indices.flatten(2))
        return selected.view_as(indices), None, None, None
