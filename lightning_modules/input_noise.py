"""Gaussian noise on the images (Bishop 1995)."""

from typing import Any

from regularizer_collection.lightning_modules.classifier import Classifier
from regularizer_collection.regularizers import InputNoise


class InputNoiseClassifier(Classifier):
    """The classifier with :class:`regularizers.InputNoise` as its first regularizer.

    Args:
        std: Standard deviation in units of the normalised images.
        **kwargs: See :class:`Classifier`.

    Raises:
        ValueError: If an argument is out of range.
    """

    def __init__(self, std: float = 0.05, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.regularizers.insert(0, InputNoise(std))
