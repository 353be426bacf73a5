"""The norm of the input-output Jacobian (Hoffman, Roberts, Yaida 2019, arXiv 1908.02729)."""

import torch
from torch import Tensor


def jacobian_norm_squared(
    logits: Tensor,
    inputs: Tensor,
    num_projections: int = 1,
    generator: torch.Generator | None = None,
) -> Tensor:
    """Estimates the squared Frobenius norm of each sample's Jacobian d logits / d inputs.

    Args:
        logits: Outputs [batch, classes], computed from ``inputs``.
        inputs: Images [batch, ...] that require a gradient.
        num_projections: Random directions for each sample; -1 takes the basis, the exact value.
        generator: Source of the random directions, and of the basis vectors' signs.

    Returns:
        Estimates [batch], unbiased, and differentiable unless gradients are disabled around the
        call. Where samples interact, as in batch normalisation in training mode, their mean is an
        unbiased estimate of the whole batch's squared Jacobian norm divided by the batch size,
        with -1 too.

    Raises:
        ValueError: If ``num_projections`` is neither -1 nor at least 1.
    """
    return projected_norm_squared(
        logits, inputs, output_projections(logits, num_projections, generator)
    )


def output_projections(
    logits: Tensor, num_projections: int, generator: torch.Generator | None = None
) -> Tensor:
    """Draws unit vectors in output space, uniform on the sphere for each sample.

    Args:
        logits: Outputs [batch, classes] whose shape, type and device the vectors take.
        num_projections: Vectors for each sample; -1 gives the basis vectors, each with a random
            sign: with equal signs the terms between samples would not cancel.
        generator: Source of the random numbers.

    Returns:
        Vectors [projections, batch, classes].

    Raises:
        ValueError: If ``num_projections`` is neither -1 nor at least 1.
    """
    check_num_projections(num_projections)
    batch, classes = logits.shape
    dtype, device = logits.dtype, logits.device
    if num_projections == -1:
        basis = torch.eye(classes, dtype=dtype, device=device)
        bits = torch.randint(2, (classes, batch, 1), generator=generator, device=device)
        return basis[:, None] * (2 * bits - 1)
    vectors = torch.randn(
        num_projections, batch, classes, generator=generator, dtype=dtype, device=device
    )
    return vectors / vectors.norm(dim=2, keepdim=True)


def projected_norm_squared(logits: Tensor, inputs: Tensor, projections: Tensor) -> Tensor:
    """Computes classes / n times the sum of ||v^T J||^2 over n vectors v (equation 9).

    Args:
        logits: Outputs [batch, classes], computed from ``inputs``.
        inputs: Images [batch, ...] that require a gradient.
        projections: Unit vectors [projections, batch, classes].

    Returns:
        Estimates [batch], differentiable unless gradients are disabled around the call.
    """
    count, _, classes = projections.shape
    total = logits.new_zeros(len(logits))
    for vectors in projections:
        (gradient,) = torch.autograd.grad(
            logits, inputs, vectors, retain_graph=True, create_graph=torch.is_grad_enabled()
        )
        total = total + gradient.square().sum(tuple(range(1, gradient.ndim)))
    return classes / count * total


def check_num_projections(num_projections: int) -> None:
    """Refuses a number of projections that estimates nothing.

    Raises:
        ValueError: If ``num_projections`` is neither -1 nor at least 1.
    """
    if num_projections != -1 and num_projections < 1:
        raise ValueError(
            f"num_projections is {num_projections}; give 1 or more, or -1 for the exact norm"
        )
