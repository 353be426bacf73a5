"""Singular value bounding around training (Jia, Tao, Gao, Xu, CVPR 2017)."""

from torch import nn

from regularizer_collection.callbacks.weight_projection import WeightProjection
from regularizer_collection.functional.singular_values import bound_singular_values_, check_eps
from regularizer_collection.functional.weights import weight_matrices


class SingularValueBounding(WeightProjection):
    """Bounds the singular values of every weight matrix after optimizer steps 1, n, 2n, 3n, ...

    Weights of 2 or more dimensions count as matrices [out, rest], which is not the operator of a
    convolution. Those that are not trained stay as they are, and so does what is no layer's weight:
    positions, tokens, the scales of a normalisation. The first bounding stands for the paper's
    orthogonal start.

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
        """Returns all trained weights of 2 or more dimensions, see :func:`weight_matrices`.

        Raises:
            ValueError: If there is none, or a layer computes its weight from other parameters.
        """
        return weight_matrices(network)

    def project_(self, name: str, weight: nn.Parameter) -> None:
        """Bounds the singular values of a weight in place."""
        bound_singular_values_(weight, self.eps)
