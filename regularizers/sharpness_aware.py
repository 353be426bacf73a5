"""Sharpness-aware minimisation (Foret et al. 2021, arXiv 2010.01412)."""

import torch
import torch.distributed as dist
from torch import Tensor

from regularizer_collection.functional.checks import check_at_least, check_between
from regularizer_collection.regularizers.regularizer import Loss, Regularizer
from regularizer_collection.regularizers.second_pass import loss_at, same_dropout, statistics
from regularizer_collection.regularizers.step import Step


class SharpnessAware(Regularizer):
    """Minimises (1 - alpha) L(w) + alpha L(w + rho g / ||g||), g = grad L(w), by its first order.

    With alpha 1 this is SAM; with alpha below 1 the penalty on the gradient's norm of Zhao et al.
    2022 (arXiv 2202.03599). The norm is global, over all weights. Both passes drop the same
    features; the second counts no batch in the running statistics. Under gradient accumulation
    every micro-batch has an ascent of its own.

    Args:
        rho: Length of the ascent step.
        alpha: Weight of the loss after the ascent.

    Raises:
        ValueError: If an argument is out of range.
    """

    takes_gradients = True

    def __init__(self, rho: float = 0.05, alpha: float = 1.0) -> None:
        super().__init__()
        check_at_least("rho", rho, 0)
        check_between("alpha", alpha, 0, 1)
        self.rho = rho
        self.alpha = alpha

    def wrap(self, loss: Loss, step: Step) -> Loss:
        """Evaluates the loss at the present weights and after the ascent."""
        return (lambda: self._sharp(loss, step)) if self.rho and self.alpha else loss

    def _sharp(self, loss: Loss, step: Step) -> Tensor:
        weights = {n: w for n, w in step.backbone.named_parameters() if w.requires_grad}
        with same_dropout(next(iter(weights.values())).device):
            flat = loss()
            needs_graph = self.alpha < 1
            gradients = torch.autograd.grad(
                flat,
                list(weights.values()),
                retain_graph=needs_graph,
                materialize_grads=True,  # a second head, say, has no part in the loss
            )
        if step.world_size > 1:
            for gradient in gradients:
                dist.all_reduce(gradient, op=dist.ReduceOp.SUM)
        norm = torch.stack([gradient.norm() for gradient in gradients]).norm()
        # Of gradients below 1e-22 the squares, and with them the norm, are 0 in float32.
        scale = self.rho / norm.clamp(min=max(1e-12, torch.finfo(norm.dtype).tiny))
        pairs = zip(weights.items(), gradients, strict=True)
        moved = {name: weight + scale * gradient for (name, weight), gradient in pairs}
        sharp = loss_at(step.backbone, moved | statistics(step.backbone), loss)
        return sharp if self.alpha == 1 else (1 - self.alpha) * flat + self.alpha * sharp
