"""The base of terms that are added to the loss."""

from abc import abstractmethod
from typing import ClassVar

from torch import Tensor

from regularizer_collection.functional.checks import check_at_least
from regularizer_collection.regularizers.regularizer import Regularizer
from regularizer_collection.regularizers.step import Step


class Penalty(Regularizer):
    """Minimises cross-entropy + coefficient * :meth:`value`.

    Args:
        coefficient: Weight of the term; with 0 it is never computed.
        every_n_steps: Adds the term in every n-th optimizer step, with n times the weight: the same
            expected gradient for less work. All batches that such a step accumulates have it, but
            in the first step, where batches count, as they do if no ``Step.global_step`` is told.
        warmup_steps: Optimizer steps in which the weight rises linearly from 0; None takes
            ``Step.penalty_warmup_steps``.

    Raises:
        ValueError: If an argument is out of range.
    """

    differentiates_images: ClassVar[bool] = False
    """Whether :meth:`value` differentiates with respect to the images."""

    def __init_subclass__(cls) -> None:
        """What differentiates images takes gradients."""
        super().__init_subclass__()
        cls.takes_gradients = cls.takes_gradients or cls.differentiates_images

    def __init__(
        self, coefficient: float, every_n_steps: int = 1, warmup_steps: int | None = None
    ) -> None:
        super().__init__()
        check_at_least("coefficient", coefficient, 0)
        check_at_least("every_n_steps", every_n_steps, 1)
        check_at_least("warmup_steps", warmup_steps or 0, 0)
        self.coefficient = coefficient
        self.every_n_steps = every_n_steps
        self.warmup_steps = warmup_steps

    @abstractmethod
    def value(self, logits: Tensor, images: Tensor, targets: Tensor, step: Step) -> Tensor:
        """Computes what is penalised, a scalar; the arguments are those of :meth:`penalty`."""

    def resolved_warmup_steps(self, default: int) -> int:
        """Returns in how many optimizer steps the weight rises, where the run sets a default."""
        return default if self.warmup_steps is None else self.warmup_steps

    def weight(self, step: Step) -> float:
        """Returns the factor of :meth:`value` in this step."""
        if (step.global_step or step.index) % self.every_n_steps:
            return 0.0
        warmup = self.resolved_warmup_steps(step.penalty_warmup_steps)
        ramp = min(1.0, step.global_step / warmup) if warmup else 1.0
        return self.every_n_steps * self.coefficient * ramp

    def needs_image_gradient(self, step: Step) -> bool:
        """Says yes in the steps whose :meth:`value` differentiates the images."""
        return self.differentiates_images and self.weight(step) > 0

    def penalty(self, logits: Tensor, images: Tensor, targets: Tensor, step: Step) -> Tensor | None:
        """Returns the weighted term, or None in a step of weight 0."""
        weight = self.weight(step)
        return weight * self.value(logits, images, targets, step) if weight else None
