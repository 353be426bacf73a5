"""TRADES (Zhang et al. 2019)."""

from typing import Any

from regularizer_collection.lightning_modules.classifier import Classifier
from regularizer_collection.regularizers import TRADESPenalty


class TRADESClassifier(Classifier):
    """The classifier with :class:`regularizers.TRADESPenalty` as its first regularizer.

    Args:
        coefficient: Weight of the divergence.
        eps: Half-width of the box in pixels from 0 to 1.
        step_size: Length of a step in each pixel, on the same scale.
        num_steps: Steps of the ascent.
        every_n_steps: Applies the penalty in every n-th optimizer step, with n times the weight.
        **kwargs: See :class:`Classifier`.

    Raises:
        ValueError: If an argument is out of range.
    """

    def __init__(
        self,
        coefficient: float = 6.0,
        eps: float = 8 / 255,
        step_size: float = 2 / 255,
        num_steps: int = 10,
        every_n_steps: int = 1,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.regularizers.insert(
            0, TRADESPenalty(coefficient, eps, step_size, num_steps, every_n_steps)
        )
