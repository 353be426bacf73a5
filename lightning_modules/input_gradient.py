"""Double backpropagation (Drucker, LeCun 1992)."""

from typing import Any

from regularizer_collection.lightning_modules.classifier import Classifier
from regularizer_collection.regularizers import InputGradient


class InputGradientClassifier(Classifier):
    """The classifier with :class:`regularizers.InputGradient` as its first regularizer.

    Args:
        coefficient: Weight of half the mean squared gradient.
        every_n_steps: Applies the penalty in every n-th optimizer step, with n times the weight.
        **kwargs: See :class:`Classifier`.

    Raises:
        ValueError: If an argument is out of range.
    """

    def __init__(
        self,
        coefficient: float = 0.1,
        every_n_steps: int = 1,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.regularizers.insert(0, InputGradient(coefficient, every_n_steps))
