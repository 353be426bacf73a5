"""Singular value bounding around training (Jia, Tao, Gao, Xu, CVPR 2017)."""

from torch import nn
from torch.nn.utils.parametrize import is_parametrized

from regularizer_collection.callbacks.weight_projection import WeightProjection
from regularizer_collection.functional.singular_values import bound_singular_values_, check_eps


class SingularValueBounding(WeightProjection):
    """Bounds the singular values of every weight matrix after optimizer steps 1, n, 2n, 3n, ...

    Weights of 2 or more dimensions count as matrices [out, rest], which is not the operator of a
    convolution. Those that are not trained stay as they are, and so does what a layer calls no
    weight: positions, tokens, scales. The first bounding stands for the paper's orthogonal start.

    Args:
        eps: Width of the band [1 / (1 + eps), 1 + eps].
        every_n_steps: Optimizer steps between two boundings.
        bound_at_start: Bounds after the first optimizer step too, as the source experiment did.

    Raises:
        ValueError: If an argument is out of range.
    """

    def __init__(
        self, eps: float = 0.05, every_n_steps: int = 600, bound_at_start: bool = True
    ) -> None:
        check_eps(eps)
        super().__init__(every_n_steps, bound_at_start)
        self.eps = eps

    def weights(self, network: nn.Module) -> dict[str, nn.Parameter]:
        """Returns all weights of 2 or more dimensions.

        Raises:
            ValueError: If a layer computes its weight from others, which cannot be bounded, or
                there is none.
        """
        for name, layer in network.named_modules():
            if is_parametrized(layer):
                raise ValueError(
                    f"{name} computes its weight from other parameters, whose singular values are "
                    "not those of the weight; leave parametrizations or the bounding out"
                )
        found = {
            name: weight
            for name, weight in network.named_parameters()
            if weight.ndim >= 2 and weight.requires_grad and "weight" in name.rpartition(".")[2]
        }
        if not found:
            raise ValueError(
                f"{type(network).__name__} has no trained weight of 2 or more dimensions to bound; "
                "give another backbone, or leave the bounding out"
            )
        return found

    def project_(self, name: str, weight: nn.Parameter) -> None:
        """Bounds the singular values of a weight in place."""
        bound_singular_values_(weight, self.eps)
