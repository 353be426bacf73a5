"""Singular value bounding (Jia, Tao, Gao, Xu, CVPR 2017)."""

import torch
from torch import Tensor, nn

from regularizer_collection.functional.weights import is_weight_matrix

# Rounding in the Gram matrix blurs what lies below this share of the largest singular value.
_SMALLEST_SHARE = {torch.float32: 0.1, torch.float64: 1e-5}


@torch.no_grad()
def bound_singular_values_(weight: Tensor, eps: float) -> Tensor:
    """Clamps the singular values of a weight into [1 / (1 + eps), 1 + eps], in place.

    With W = U S V^T the result U clamp(S) V^T is U (clamp(S) / S) U^T W, where U and S come from
    the eigenvectors of the smaller Gram matrix: several times cheaper than the singular value
    decomposition. Float32 serves well-conditioned weights of that precision, such as those bounded
    before, and float64 nearly all others; the decomposition is left for rank-deficient weights.

    Args:
        weight: Tensor of 2 or more dimensions, seen as a matrix [out, rest].
        eps: Width of the band around 1.

    Returns:
        The weight.

    Raises:
        ValueError: If ``eps`` is not positive or the weight has fewer than 2 dimensions.
    """
    check_eps(eps)
    low, high = 1 / (1 + eps), 1 + eps
    matrix = _as_matrix(weight)
    is_wide = matrix.shape[0] <= matrix.shape[1]
    for dtype, smallest_share in _SMALLEST_SHARE.items():
        if torch.promote_types(dtype, weight.dtype) != dtype:
            continue  # less precise than the weight
        wide = (matrix if is_wide else matrix.T).to(_device_of(weight), dtype)
        eigenvalues, u = torch.linalg.eigh(wide @ wide.T)
        sigma = eigenvalues.clamp(min=0).sqrt()
        if sigma[0] > smallest_share * sigma[-1]:
            bounded = (u * (sigma.clamp(low, high) / sigma)) @ u.T @ wide
            break
    else:
        u, sigma, vh = torch.linalg.svd(wide, full_matrices=False)
        bounded = (u * sigma.clamp(low, high)) @ vh
    return weight.copy_((bounded if is_wide else bounded.T).reshape(weight.shape))


@torch.no_grad()
def singular_values(weight: Tensor) -> Tensor:
    """Computes the singular values of a weight seen as a matrix [out, rest], ascending, float64."""
    matrix = _as_matrix(weight).to(_device_of(weight), torch.float64)
    gram = matrix @ matrix.T if matrix.shape[0] <= matrix.shape[1] else matrix.T @ matrix
    return torch.linalg.eigvalsh(gram).clamp(min=0).sqrt()


def spectra_of(module: nn.Module) -> dict[str, Tensor]:
    """Computes the singular values, ascending, of every layer's weight, trained or not."""
    return {
        name.removesuffix(".weight"): singular_values(weight.detach())
        for name, weight in module.named_parameters()
        if is_weight_matrix(module, name, weight)
    }


def check_eps(eps: float) -> None:
    """Refuses a band that is empty or inverted.

    Raises:
        ValueError: If ``eps`` is not positive.
    """
    if not eps > 0:
        raise ValueError(f"eps is {eps}; give a number above 0, such as 0.05")


def _device_of(weight: Tensor) -> torch.device:
    """Returns where the weight is, or the CPU where that device has no float64."""
    return torch.device("cpu") if weight.device.type == "mps" else weight.device


def _as_matrix(weight: Tensor) -> Tensor:
    if weight.ndim < 2:
        raise ValueError(f"weight has shape {tuple(weight.shape)}; give 2 or more dimensions")
    return weight.flatten(1)
