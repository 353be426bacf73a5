"""Spectral norm regularization (Yoshida, Miyato 2017)."""

from typing import Any

from regularizer_collection.lightning_modules.classifier import Classifier
from regularizer_collection.regularizers import SpectralNormPenalty


class SpectralNormPenaltyClassifier(Classifier):
    """The classifier with :class:`regularizers.SpectralNormPenalty` as its first regularizer.

    Args:
        coefficient: Weight of half the sum of squared spectral norms.
        every_n_steps: Applies the penalty in every n-th optimizer step, with n times the weight.
        **kwargs: See :class:`Classifier`.

    Raises:
        ValueError: If an argument is out of range.
    """

    def __init__(
        self,
        coefficient: float = 0.01,
        every_n_steps: int = 1,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.regularizers.insert(0, SpectralNormPenalty(coefficient, every_n_steps))
