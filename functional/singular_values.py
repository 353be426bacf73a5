"""Singular value bounding (Jia, Tao, Gao, Xu, CVPR 2017)."""

import torch
from torch import Tensor

# Below this share of the largest singular value, the Gram matrix has lost the singular vector.
_RANK_TOLERANCE = 1e-5


@torch.no_grad()
def bound_singular_values_(weight: Tensor, eps: float) -> Tensor:
    """Clamps the singular values of a weight into [1 / (1 + eps), 1 + eps], in place.

    With W = U S V^T the result is U clamp(S) V^T = U (clamp(S) / S) U^T W, where U and S come from
    the eigenvectors of the smaller Gram matrix in float64: several times cheaper than the singular
    value decomposition, which is kept for rank-deficient weights.

    Args:
        weight: Tensor of 2 or more dimensions, seen as a matrix [out, rest].
        eps: Width of the band around 1.

    Returns:
        The weight.

    Raises:
        ValueError: If ``eps`` is not positive or the weight has fewer than 2 dimensions.
    """
    check_eps(eps)
    matrix = _as_matrix(weight).double()
    wide = matrix if matrix.shape[0] <= matrix.shape[1] else matrix.T
    eigenvalues, u = torch.linalg.eigh(wide @ wide.T)
    sigma = eigenvalues.clamp(min=0).sqrt()
    if sigma[0] > _RANK_TOLERANCE * sigma[-1]:
        bounded = (u * (sigma.clamp(1 / (1 + eps), 1 + eps) / sigma)) @ (u.T @ wide)
    else:
        u, sigma, vh = torch.linalg.svd(wide, full_matrices=False)
        bounded = (u * sigma.clamp(1 / (1 + eps), 1 + eps)) @ vh
    bounded = bounded if wide is matrix else bounded.T
    return weight.copy_(bounded.reshape(weight.shape))


@torch.no_grad()
def singular_values(weight: Tensor) -> Tensor:
    """Computes the singular values of a weight seen as a matrix [out, rest], ascending, float64."""
    matrix = _as_matrix(weight).double()
    gram = matrix @ matrix.T if matrix.shape[0] <= matrix.shape[1] else matrix.T @ matrix
    return torch.linalg.eigvalsh(gram).clamp(min=0).sqrt()


def check_eps(eps: float) -> None:
    """Refuses a band that is empty or inverted.

    Raises:
        ValueError: If ``eps`` is not positive.
    """
    if not eps > 0:
        raise ValueError(f"eps is {eps}; give a number above 0, such as 0.05")


def _as_matrix(weight: Tensor) -> Tensor:
    if weight.ndim < 2:
        raise ValueError(f"weight has shape {tuple(weight.shape)}; give 2 or more dimensions")
    return weight.flatten(1)
