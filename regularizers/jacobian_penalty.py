"""Jacobian regularization (Hoffman, Roberts, Yaida 2019, arXiv 1908.02729)."""

from torch import Tensor

from regularizer_collection.functional.jacobian import (
    check_num_projections,
    output_projections,
    projected_norm_squared,
)
from regularizer_collection.regularizers.penalty import Penalty
from regularizer_collection.regularizers.step import Step


class JacobianPenalty(Penalty):
    """Minimises CE + coefficient / 2 * mean ||J||_F^2, J = d logits / d image (equation 4).

    The penalty reuses the logits of the loss and carries gradient to every weight. Batch
    normalisation in training mode ties the samples together: what is penalised is then the whole
    batch's Jacobian, own-sample blocks and cross terms, divided by the batch size.

    Args:
        coefficient: The paper's lambda.
        num_projections: Random directions for each sample; -1 takes all classes.
        every_n_steps: See :class:`Penalty`.
        warmup_steps: See :class:`Penalty`.

    Raises:
        ValueError: If an argument is out of range.
    """

    differentiates_images = True

    def __init__(
        self,
        coefficient: float = 0.01,
        num_projections: int = 1,
        every_n_steps: int = 1,
        warmup_steps: int | None = None,
    ) -> None:
        super().__init__(coefficient, every_n_steps, warmup_steps)
        check_num_projections(num_projections)
        self.num_projections = num_projections

    def value(self, logits: Tensor, images: Tensor, targets: Tensor, step: Step) -> Tensor:
        """Estimates half the mean squared norm; any number of processes draws the same."""
        generator = step.generator("projections", logits.device, shared=True)
        everyone = logits.new_empty(step.global_rows(len(logits)), logits.shape[1]).float()
        projections = output_projections(everyone, self.num_projections, generator)
        share = projections[:, step.rank :: step.world_size].to(logits.dtype)
        return projected_norm_squared(logits, images, share).mean() / 2
