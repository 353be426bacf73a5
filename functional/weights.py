"""Weight matrices of a network."""

import hashlib
from collections.abc import Mapping

import torch
from torch import Tensor, nn


def weight_matrices(network: nn.Module) -> dict[str, Tensor]:
    """Finds the weights of 2 or more dimensions, so neither biases nor batch normalisation.

    Args:
        network: Network, whose weights may be those of a :func:`torch.func.functional_call`.

    Returns:
        Weights [out, ...] that are trained, by their names.

    Raises:
        ValueError: If there is none.
    """
    matrices: dict[str, Tensor] = {
        name: weight
        for name, weight in network.named_parameters()
        if weight.ndim >= 2 and weight.requires_grad
    }
    if not matrices:
        raise ValueError(
            f"{type(network).__name__} has no weight of 2 or more dimensions that is trained; give "
            "a network that has, or leave out what acts on such weights"
        )
    return matrices


def weights_hash(state_dict: Mapping[str, Tensor]) -> str:
    """Hashes the backbone's weights and buffers in a module's or a checkpoint's state dict."""
    digest = hashlib.sha256()
    for name, tensor in sorted(state_dict.items()):
        if name.startswith("backbone."):
            digest.update(name.encode())
            dense = tensor.detach().cpu().contiguous()
            digest.update(dense.flatten().view(torch.uint8).numpy().data)
    return digest.hexdigest()[:16]
