"""Virtual adversarial training (Miyato et al. 2018, arXiv 1704.03976)."""

import torch
from torch import Tensor

from regularizer_collection.functional.attacks import kl_divergence
from regularizer_collection.functional.checks import check_at_least
from regularizer_collection.regularizers.penalty import Penalty
from regularizer_collection.regularizers.second_pass import repeated
from regularizer_collection.regularizers.step import Step

PROBE = 0.1
"""Length of the probe in input units, where an image has a norm of about 70: short beside an image,
long enough for the rounding of float32. The paper's xi."""


class VirtualAdversarial(Penalty):
    """Minimises CE + coefficient * mean KL(p(x) || p(x + r)), p(x) held constant.

    r, of Euclidean length eps, is where the divergence grows fastest (equations 5 to 8): one power
    iteration from a random direction (algorithm 1). All passes drop the same features, and only the
    first counts in the running statistics.

    Args:
        coefficient: The paper's alpha.
        eps: Length of r in units of the normalised images.
        every_n_steps: See :class:`Penalty`.
        warmup_steps: See :class:`Penalty`.

    Raises:
        ValueError: If an argument is out of range.
    """

    takes_gradients = True

    def __init__(
        self,
        coefficient: float = 1.0,
        eps: float = 2.0,
        every_n_steps: int = 1,
        warmup_steps: int | None = None,
    ) -> None:
        super().__init__(coefficient, every_n_steps, warmup_steps)
        check_at_least("eps", eps, 0)
        self.eps = eps

    def value(self, logits: Tensor, images: Tensor, targets: Tensor, step: Step) -> Tensor:
        """Computes the mean divergence."""
        images, logits = images.detach(), logits.detach()

        def divergences(moved: Tensor) -> Tensor:
            return repeated(
                step, images.device, lambda: kl_divergence(logits, step.backbone(moved))
            )

        probe = (PROBE * _unit(step.draw("virtual adversarial", images))).requires_grad_()
        (gradient,) = torch.autograd.grad(divergences(images + probe).sum(), probe)
        return divergences(images + self.eps * _unit(gradient)).mean()


def _unit(directions: Tensor) -> Tensor:
    """Gives each sample's direction the length 1."""
    tiny = torch.finfo(directions.dtype).tiny
    each = (-1, *[1] * (directions.ndim - 1))
    # Of entries below 1e-22 the squares are 0 in float32. By a power of 2 nothing is rounded.
    largest = directions.flatten(1).abs().amax(1).clamp(min=tiny)
    scaled = directions / largest.log2().floor().exp2().view(each)
    return scaled / scaled.flatten(1).norm(dim=1).clamp(min=tiny).view(each)
