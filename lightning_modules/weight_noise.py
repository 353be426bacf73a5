"""Noise on the weights (Graves 2011)."""

from typing import Any

from regularizer_collection.lightning_modules.classifier import Classifier
from regularizer_collection.regularizers import WeightNoise


class WeightNoiseClassifier(Classifier):
    """The classifier with :class:`regularizers.WeightNoise` as its first regularizer.

    Args:
        std: Standard deviation as a share of each matrix's root mean square.
        **kwargs: See :class:`Classifier`.

    Raises:
        ValueError: If an argument is out of range.
    """

    def __init__(
        self,
        std: float = 0.02,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.regularizers.insert(0, WeightNoise(std))
