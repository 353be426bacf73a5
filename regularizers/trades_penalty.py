"""TRADES (Zhang et al. 2019, arXiv 1901.08573)."""

import torch
from torch import Tensor

from regularizer_collection.functional.attacks import kl_divergence, sign_ascent
from regularizer_collection.functional.checks import check_at_least
from regularizer_collection.regularizers.penalty import Penalty
from regularizer_collection.regularizers.second_pass import eval_mode, repeated
from regularizer_collection.regularizers.step import Step

START = 0.001
"""Standard deviation of the start: at the image itself the gradient of the divergence is 0."""


class TRADESPenalty(Penalty):
    """Minimises CE + coefficient * mean KL(p(x) || p(x')), x' the worst image within eps.

    It is equation 5, with the ascent (algorithm 1) in eval mode. Both sides of the divergence carry
    gradient and drop the same features; the pass at x' counts no batch in the running statistics.

    Args:
        coefficient: The paper's 1 / lambda.
        eps: Half-width of the box in pixels from 0 to 1.
        step_size: Length of a step in each pixel, on the same scale.
        num_steps: Steps of the ascent.
        every_n_steps: See :class:`Penalty`.
        warmup_steps: See :class:`Penalty`.

    Raises:
        ValueError: If an argument is out of range.
    """

    takes_gradients = True

    def __init__(
        self,
        coefficient: float = 6.0,
        eps: float = 8 / 255,
        step_size: float = 2 / 255,
        num_steps: int = 10,
        every_n_steps: int = 1,
        warmup_steps: int | None = None,
    ) -> None:
        super().__init__(coefficient, every_n_steps, warmup_steps)
        check_at_least("eps", eps, 0)
        check_at_least("step_size", step_size, 0)
        check_at_least("num_steps", num_steps, 1)
        self.eps = eps
        self.step_size = step_size
        self.num_steps = num_steps

    def value(self, logits: Tensor, images: Tensor, targets: Tensor, step: Step) -> Tensor:
        """Computes the mean divergence at the worst images."""
        worst = self._worst(images.detach(), step)
        return repeated(
            step, images.device, lambda: kl_divergence(logits, step.backbone(worst)).mean()
        )

    def _worst(self, images: Tensor, step: Step) -> Tensor:
        pixels = step.pixel_space("TRADES")
        start = images + pixels.distance(START, images) * step.draw("trades start", images)
        with eval_mode(step.backbone):
            with torch.no_grad():
                clean = step.backbone(images.clone())
            return sign_ascent(
                lambda moved: kl_divergence(clean, step.backbone(moved)).sum(),
                images,
                start,
                self.eps,
                self.step_size,
                self.num_steps,
                pixels,
            )
