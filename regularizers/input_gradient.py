"""Double backpropagation (Drucker, LeCun 1992; Ross, Doshi-Velez 2018, arXiv 1711.09404)."""

import torch
import torch.nn.functional as F
from torch import Tensor

from regularizer_collection.regularizers.penalty import Penalty
from regularizer_collection.regularizers.step import Step


class InputGradient(Penalty):
    """Minimises CE + coefficient / 2 * mean ||d CE_i / d image_i||^2, CE_i of one sample.

    The penalty reuses the logits of the loss and carries gradient to every weight. It vanishes
    where a sample is predicted with certainty, so it says nothing of confident points. Batch
    normalisation in training mode ties the samples together: the gradient is then that of the sum
    of all CE with respect to each image.

    Args:
        coefficient: Weight of half the mean, in units of the normalised images.
        every_n_steps: See :class:`Penalty`.
        warmup_steps: See :class:`Penalty`.

    Raises:
        ValueError: If an argument is out of range.
    """

    differentiates_images = True

    def __init__(
        self, coefficient: float = 0.1, every_n_steps: int = 1, warmup_steps: int | None = None
    ) -> None:
        super().__init__(coefficient, every_n_steps, warmup_steps)

    def value(self, logits: Tensor, images: Tensor, targets: Tensor, step: Step) -> Tensor:
        """Computes half the mean squared norm; of the sum, so that no gradient is divided."""
        loss = F.cross_entropy(logits, targets, reduction="sum")
        (gradient,) = torch.autograd.grad(loss, images, create_graph=True)
        return gradient.square().sum() / (2 * len(images))
