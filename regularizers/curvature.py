"""Curvature regularization, CURE (Moosavi-Dezfooli et al. 2019, arXiv 1811.09716)."""

import torch
import torch.nn.functional as F
from torch import Tensor

from regularizer_collection.functional.checks import check_at_least
from regularizer_collection.regularizers.penalty import Penalty
from regularizer_collection.regularizers.second_pass import differentiable_attention, repeated
from regularizer_collection.regularizers.step import Step


class Curvature(Penalty):
    """Minimises CE + coefficient * mean ||grad CE_i(x + h z) - grad CE_i(x)||^2 (equation 7).

    z is the sign of the gradient at x, scaled to length 1. Lengths and gradients are in pixels from
    0 to 1. Both gradients drop the same features; the pass at x + h z counts no batch. The paper
    tunes a trained network with it: from scratch, give it a warm-up. Batch normalisation in
    training mode ties the samples together: gradients are then those of the sum of all CE.

    Args:
        coefficient: The paper's gamma.
        h: Distance of the second gradient.
        every_n_steps: See :class:`Penalty`.
        warmup_steps: See :class:`Penalty`.

    Raises:
        ValueError: If an argument is out of range.
    """

    differentiates_images = True

    def __init__(
        self,
        coefficient: float = 4.0,
        h: float = 1.5,
        every_n_steps: int = 1,
        warmup_steps: int | None = None,
    ) -> None:
        super().__init__(coefficient, every_n_steps, warmup_steps)
        check_at_least("h", h, 0)
        self.h = h

    def value(self, logits: Tensor, images: Tensor, targets: Tensor, step: Step) -> Tensor:
        """Computes the mean squared difference of the two gradients."""
        pixels = step.pixel_space("CURE")
        gradient = _loss_gradient(logits, images, targets)
        sign = gradient.detach().sign()
        lengths = sign.flatten(1).norm(dim=1).clamp(min=1).view(-1, 1, 1, 1)
        moved = (images + pixels.distance(self.h, images) * sign / lengths).detach()
        moved.requires_grad_()
        with differentiable_attention(moved):
            there = repeated(
                step,
                images.device,
                lambda: _loss_gradient(step.backbone(moved.clone()), moved, targets),
            )
        difference = (there - gradient) * pixels.distance(1.0, images)
        return difference.square().sum() / len(images)


def _loss_gradient(logits: Tensor, images: Tensor, targets: Tensor) -> Tensor:
    loss = F.cross_entropy(logits, targets, reduction="sum")
    (gradient,) = torch.autograd.grad(loss, images, create_graph=True)
    return gradient
