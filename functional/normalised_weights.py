"""Weights whose scale a batch normalisation takes out again."""

from itertools import pairwise

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm


def normalised_weights(network: nn.Module) -> dict[str, nn.Parameter]:
    """Finds the weights of layers that stand directly before a batch normalisation.

    A layer stands before the batch normalisation that is registered next and has as many features
    as the layer has outputs: so do torchvision's and timm's networks register theirs.

    Args:
        network: Network whose layers are registered in the order of their use.

    Returns:
        Weights [out, ...] by the names of their layers.
    """
    layers = [
        (name, layer)
        for name, layer in network.named_modules()
        if next(layer.parameters(recurse=False), None) is not None
    ]
    return {
        name: layer.weight
        for (name, layer), (_, following) in pairwise(layers)
        if isinstance(following, _BatchNorm)
        and isinstance(weight := getattr(layer, "weight", None), nn.Parameter)
        and weight.ndim >= 2
        and len(weight) == following.num_features
    }
