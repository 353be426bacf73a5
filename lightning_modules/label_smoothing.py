"""Label smoothing (Szegedy et al. 2016)."""

from typing import Any

from regularizer_collection.lightning_modules.classifier import Classifier
from regularizer_collection.regularizers import LabelSmoothing


class LabelSmoothingClassifier(Classifier):
    """The classifier with :class:`regularizers.LabelSmoothing` as its first regularizer.

    Args:
        smoothing: Share of the target that is spread evenly over all classes.
        **kwargs: See :class:`Classifier`.

    Raises:
        ValueError: If an argument is out of range.
    """

    def __init__(self, smoothing: float = 0.1, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.regularizers.insert(0, LabelSmoothing(smoothing))
