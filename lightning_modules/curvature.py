"""Curvature regularization, CURE (Moosavi-Dezfooli et al. 2019)."""

from typing import Any

from regularizer_collection.lightning_modules.classifier import Classifier
from regularizer_collection.regularizers import Curvature


class CurvatureClassifier(Classifier):
    """The classifier with :class:`regularizers.Curvature` as its first regularizer.

    Args:
        coefficient: Weight of the squared difference of two gradients.
        h: Distance between the two in pixels from 0 to 1.
        every_n_steps: Applies the penalty in every n-th optimizer step, with n times the weight.
        **kwargs: See :class:`Classifier`.

    Raises:
        ValueError: If an argument is out of range.
    """

    def __init__(
        self,
        coefficient: float = 4.0,
        h: float = 1.5,
        every_n_steps: int = 1,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.regularizers.insert(0, Curvature(coefficient, h, every_n_steps))
