"""L1 regularization and the elastic net (Zou, Hastie 2005)."""

from typing import Any

from regularizer_collection.lightning_modules.classifier import Classifier
from regularizer_collection.regularizers import ElasticNet


class ElasticNetClassifier(Classifier):
    """The classifier with :class:`regularizers.ElasticNet` as its first regularizer.

    Args:
        l1: Factor of the sum of absolute weights.
        l2: Factor of half the sum of squared weights.
        **kwargs: See :class:`Classifier`.

    Raises:
        ValueError: If an argument is out of range.
    """

    def __init__(
        self,
        l1: float = 1e-5,
        l2: float = 0.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.regularizers.insert(0, ElasticNet(l1, l2))
