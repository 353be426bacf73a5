"""Max pooling whose second derivative touches only what it selects."""

from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable

_Window = tuple[int, int, int]


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
    output, _ = _MaxPool.apply(input, (kernel_size, stride, padding))
    return output


class _MaxPool(Function):
    generate_vmap_rule = True

    @staticmethod
    def forward(input: Tensor, window: _Window) -> tuple[Tensor, Tensor]:
        return torch.ops.aten.max_pool2d_with_indices(input, *([size, size] for size in window))

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
        input, ctx.window = inputs
        ctx.mark_non_differentiable(output[1])
        ctx.save_for_backward(input, output[1])

    @staticmethod
    def backward(ctx: Any, grad: Tensor, _: Any) -> tuple[Tensor | None, ...]:
        input, indices = ctx.saved_tensors
        # Which pixels are selected does not change with the input: no derivative passes through it.
        return _MaxPoolGradient.apply(grad, input.detach(), indices, ctx.window), None


class _MaxPoolGradient(Function):
    generate_vmap_rule = True

    @staticmethod
    def forward(grad: Tensor, input: Tensor, indices: Tensor, window: _Window) -> Tensor:
        kernel_size, stride, padding = ([size, size] for size in window)
        return torch.ops.aten.max_pool2d_with_indices_backward(
            grad, input, kernel_size, stride, padding, [1, 1], False, indices
        )

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        ctx.save_for_backward(inputs[2])

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, cotangent: Tensor) -> tuple[Tensor | None, ...]:
        (indices,) = ctx.saved_tensors
        pixels, chosen = (maps.permute(0, 2, 3, 1).flatten(1, 2) for maps in (cotangent, indices))
        selected = pixels.gather(1, chosen).unflatten(1, indices.shape[2:])
        return selected.permute(0, 3, 1, 2), None, None, None
