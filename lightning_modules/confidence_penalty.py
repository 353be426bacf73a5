"""The confidence penalty (Pereyra et al. 2017)."""

import math
from typing import Any

from regularizer_collection.lightning_modules.classifier import Classifier
from regularizer_collection.regularizers import ConfidencePenalty


class ConfidencePenaltyClassifier(Classifier):
    """The classifier with :class:`regularizers.ConfidencePenalty` as its first regularizer.

    Args:
        coefficient: Weight of the entropy.
        threshold: Entropy in nats that is enough.
        every_n_steps: Applies the penalty in every n-th optimizer step, with n times the weight.
        **kwargs: See :class:`Classifier`.

    Raises:
        ValueError: If an argument is out of range.
    """

    def __init__(
        self,
        coefficient: float = 0.1,
        threshold: float = math.inf,
        every_n_steps: int = 1,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.regularizers.insert(0, ConfidencePenalty(coefficient, threshold, every_n_steps))
