"""Adversarial training (Madry et al. 2018)."""

from typing import Any

from regularizer_collection.lightning_modules.classifier import Classifier
from regularizer_collection.regularizers import AdversarialTraining


class AdversarialClassifier(Classifier):
    """The classifier with :class:`regularizers.AdversarialTraining` as its first regularizer.

    Args:
        eps: Half-width of the box in pixels from 0 to 1.
        step_size: Length of a step in each pixel, on the same scale.
        num_steps: Steps of the ascent.
        **kwargs: See :class:`Classifier`.

    Raises:
        ValueError: If an argument is out of range.
    """

    def __init__(
        self,
        eps: float = 8 / 255,
        step_size: float = 2 / 255,
        num_steps: int = 7,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.regularizers.insert(0, AdversarialTraining(eps, step_size, num_steps))
