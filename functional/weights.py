"""Weight matrices of a network."""

from torch import Tensor, nn


def weight_matrices(network: nn.Module) -> dict[str, Tensor]:
    """Finds the weights of 2 or more dimensions, so neither biases nor batch normalisation.

    Args:
        network: Network, whose weights may be those of a :func:`torch.func.functional_call`.

    Returns:
        Weights [out, ...] that are trained, by their names.
    """
    return {
        name: weight
        for name, weight in network.named_parameters()
        if weight.ndim >= 2 and weight.requires_grad
    }
