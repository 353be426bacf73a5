"""Weight matrices of a network."""

import hashlib
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrize import is_parametrized

_NORMS = (nn.LayerNorm, nn.RMSNorm)
"""Whose scales and biases may have the shape of an image."""


def is_weight_matrix(network: nn.Module, name: str, parameter: Tensor) -> bool:
    """Tells whether a parameter of a network is a weight of 2 or more dimensions.

    The scales of a normalisation are none, nor is what a layer calls otherwise: positions, tokens.
    """
    layer, _, own_name = name.rpartition(".")
    is_matrix = parameter.ndim >= 2 and "weight" in own_name
    return is_matrix and not isinstance(network.get_submodule(layer), _NORMS)


def weight_matrices(network: nn.Module) -> dict[str, nn.Parameter]:
    """Finds the weights of 2 or more dimensions that are trained, see :func:`is_weight_matrix`.

    Args:
        network: Network, whose weights may be those of a :func:`torch.func.functional_call`.

    Returns:
        Weights [out, ...] by their names.

    Raises:
        ValueError: If there is none, or a layer computes its weight from other parameters.
    """
    for name, layer in network.named_modules():
        if is_parametrized(layer) or _has_old_parts(layer):
            raise ValueError(
                f"{name} computes its weight from other parameters, and what acts on these does "
                "not act on the weight; leave the parametrization out, or what acts on weights"
            )
    matrices = {
        name: weight
        for name, weight in network.named_parameters()
        if weight.requires_grad and is_weight_matrix(network, name, weight)
    }
    if not matrices:
        raise ValueError(
            f"{type(network).__name__} has no trained weight of 2 or more dimensions; give another "
            "network, or leave out what acts on such weights"
        )
    return matrices


def _has_old_parts(layer: nn.Module) -> bool:
    """Tells whether ``torch.nn.utils.weight_norm`` or the like makes a weight from its parts."""
    own = {name for name, _ in layer.named_parameters(recurse=False)}
    return any(
        name.endswith("_orig") or (name.endswith("_g") and f"{name[:-2]}_v" in own) for name in own
    )


def weights_hash(state_dict: Mapping[str, Any]) -> str:
    """Hashes the backbone's weights and buffers in a module's or a checkpoint's state dict.

    What is no tensor, of ``get_extra_state``, is hashed as it is written.
    """
    digest = hashlib.sha256()
    for name, tensor in sorted(state_dict.items()):
        if name.startswith("backbone."):
            digest.update(name.encode())
            if not isinstance(tensor, Tensor):
                digest.update(repr(tensor).encode())
                continue
            dense = tensor.detach().cpu().contiguous()
            digest.update(dense.flatten().view(torch.uint8).numpy().data)
    return digest.hexdigest()[:16]
