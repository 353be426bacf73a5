"""CutMix (Yun et al. 2019)."""

from typing import Any

from regularizer_collection.lightning_modules.classifier import Classifier
from regularizer_collection.regularizers import CutMix


class CutMixClassifier(Classifier):
    """The classifier with :class:`regularizers.CutMix` as its first regularizer.

    Args:
        alpha: Parameter of the Beta distribution; 0 mixes nothing.
        probability: Share of the steps in which images are mixed.
        **kwargs: See :class:`Classifier`.

    Raises:
        ValueError: If an argument is out of range.
    """

    def __init__(self, alpha: float = 1.0, probability: float = 0.5, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.regularizers.insert(0, CutMix(alpha, probability))
