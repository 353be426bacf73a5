"""Differentiable functions of a weight's singular values, none of which decomposes it."""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable


def gram_deviation(weight: Tensor) -> Tensor:
    """Computes ||G - I||_F^2, G the smaller Gram matrix: sum (s_i^2 - 1)^2 over singular values.

    The gradient is 4 (G - I) W; it has none of its own.

    Args:
        weight: Weight [out, ...], seen as a matrix W [out, rest].
    """
    deviation: Tensor = _GramDeviation.apply(_wide(weight))
    return deviation


def double_gram_deviation(weight: Tensor) -> Tensor:
    """Computes ||W W^T - I||_F^2 + ||W^T W - I||_F^2.

    The larger Gram matrix has the eigenvalues of the smaller and zeros, so its deviation is that of
    the smaller plus the difference of their sizes, and nobody need compute it.

    Args:
        weight: Weight [out, ...], seen as a matrix [out, rest].
    """
    rows, columns = weight.flatten(1).shape
    return 2 * gram_deviation(weight) + abs(rows - columns)


def gram_deviation_norm(weight: Tensor, start: Tensor, iterations: int = 2) -> Tensor:
    """Estimates the spectral norm of G - I, G the smaller Gram matrix, by power iteration.

    Args:
        weight: Weight [out, ...], seen as a matrix [out, rest].
        start: Vector [min(out, rest)] that the iteration starts from.
        iterations: Products with G - I, the last of which carries the gradient.
    """
    matrix = _wide(weight)

    def deviate(vector: Tensor) -> Tensor:
        return matrix @ (matrix.T @ vector) - vector  # the Gram matrix itself costs far more

    vector = start / start.norm()
    with torch.no_grad():
        for _ in range(iterations - 1):
            product = deviate(vector)
            vector = product / product.norm().clamp(min=torch.finfo(product.dtype).tiny)
    return deviate(vector).norm()


def power_iteration(weight: Tensor, right: Tensor, iterations: int = 1) -> tuple[Tensor, Tensor]:
    """Improves an estimate of the first singular vectors of a weight.

    Args:
        weight: Weight [out, ...], seen as a matrix W [out, rest].
        right: Estimate [rest] of the right singular vector, of any length but 0.
        iterations: Products with W and with its transpose.

    Returns:
        Left [out] and right [rest] vector, of length 1 and without gradient. Where W maps the
        estimate to 0, as a weight of zeros does, left is 0 and right stays what it was.
    """
    matrix = weight.detach().flatten(1)
    tiny = torch.finfo(matrix.dtype).tiny
    for _ in range(iterations):
        left = matrix @ right
        left = left / left.norm().clamp(min=tiny)
        product = matrix.T @ left
        length = product.norm()
        right = torch.where(length > 0, product / length.clamp(min=tiny), right)
    return left, right


def _wide(weight: Tensor) -> Tensor:
    matrix = weight.flatten(1)
    return matrix if matrix.shape[0] <= matrix.shape[1] else matrix.T


class _GramDeviation(torch.autograd.Function):
    """Spares one of the two products with G - I that autograd, which sees no symmetry, makes."""

    @staticmethod
    def forward(ctx: Any, matrix: Tensor) -> Tensor:
        deviation = matrix @ matrix.T
        deviation.diagonal().sub_(1)
        ctx.save_for_backward(deviation, matrix)
        return deviation.square().sum()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        deviation, matrix = ctx.saved_tensors
        return (4 * gradient * deviation) @ matrix
