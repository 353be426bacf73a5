"""Sharpness-aware minimisation (Foret et al. 2021)."""

from typing import Any

from regularizer_collection.lightning_modules.classifier import Classifier
from regularizer_collection.regularizers import SharpnessAware


class SAMClassifier(Classifier):
    """The classifier with :class:`regularizers.SharpnessAware` as its first regularizer.

    Args:
        rho: Length of the ascent step.
        alpha: Weight of the loss after the ascent.
        **kwargs: See :class:`Classifier`.

    Raises:
        ValueError: If an argument is out of range.
    """

    def __init__(self, rho: float = 0.05, alpha: float = 1.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.regularizers.insert(0, SharpnessAware(rho, alpha))
