"""L1 regularization and the elastic net (Zou, Hastie 2005, equation 3)."""

from torch import Tensor
from torch.linalg import vector_norm

from regularizer_collection.functional.checks import check_at_least
from regularizer_collection.functional.weights import weight_matrices
from regularizer_collection.regularizers.penalty import Penalty
from regularizer_collection.regularizers.step import Step


class ElasticNet(Penalty):
    """Minimises CE + l1 * sum |w| + l2 / 2 * sum w^2 over the weight matrices.

    Biases and batch normalisation stay out of it. A subgradient step leaves small weights, not
    zeros. Before a batch normalisation the penalty acts through the effective learning rate alone.

    Args:
        l1: Factor of the sum of absolute values.
        l2: Factor of half the sum of squares; l2 alone is SGD's weight decay.
        warmup_steps: See :class:`Penalty`.

    Raises:
        ValueError: If an argument is out of range.
    """

    def __init__(self, l1: float = 1e-5, l2: float = 0.0, warmup_steps: int | None = None) -> None:
        check_at_least("l1", l1, 0)
        check_at_least("l2", l2, 0)
        super().__init__(1.0 if l1 or l2 else 0.0, warmup_steps=warmup_steps)
        self.l1 = l1
        self.l2 = l2

    def value(self, logits: Tensor, images: Tensor, targets: Tensor, step: Step) -> Tensor:
        """Computes both sums."""
        total = logits.new_zeros((), dtype=next(step.backbone.parameters()).dtype)
        for weight in weight_matrices(step.backbone).values():
            if self.l1:
                total = total + self.l1 * vector_norm(weight, 1)
            if self.l2:
                total = total + self.l2 / 2 * vector_norm(weight).square()
        return total
