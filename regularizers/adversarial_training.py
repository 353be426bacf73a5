"""Adversarial training (Madry et al. 2018, arXiv 1706.06083)."""

import torch
import torch.nn.functional as F
from torch import Tensor

from regularizer_collection.functional.attacks import random_start, sign_ascent
from regularizer_collection.functional.checks import check_at_least
from regularizer_collection.regularizers.regularizer import Regularizer
from regularizer_collection.regularizers.second_pass import eval_mode
from regularizer_collection.regularizers.step import Step


class AdversarialTraining(Regularizer):
    """Minimises CE at the worst image within eps of each (equation 2.1), found by PGD in eval mode.

    The ascent starts at a random point of the box. With one step of 1.25 eps it is the fast
    gradient sign method of Wong, Rice, Kolter 2020 (arXiv 2001.03994).

    Args:
        eps: Half-width of the box in pixels from 0 to 1.
        step_size: Length of a step in each pixel, on the same scale.
        num_steps: Steps of the ascent.

    Raises:
        ValueError: If an argument is out of range.
    """

    takes_gradients = True

    def __init__(
        self, eps: float = 8 / 255, step_size: float = 2 / 255, num_steps: int = 7
    ) -> None:
        super().__init__()
        check_at_least("eps", eps, 0)
        check_at_least("step_size", step_size, 0)
        check_at_least("num_steps", num_steps, 1)
        self.eps = eps
        self.step_size = step_size
        self.num_steps = num_steps

    def transform(self, images: Tensor, targets: Tensor, step: Step) -> tuple[Tensor, Tensor]:
        """Moves the images; any number of processes starts from the same points."""
        if not self.eps:
            return images, targets
        pixels = step.pixel_space("adversarial training")
        uniform = step.draw("adversarial start", images, torch.rand)
        start = random_start(images, self.eps, pixels, uniform)

        def loss(moved: Tensor) -> Tensor:
            return F.cross_entropy(step.backbone(moved), targets, reduction="sum")

        with eval_mode(step.backbone):
            worst = sign_ascent(
                loss, images, start, self.eps, self.step_size, self.num_steps, pixels
            )
        return worst, targets
