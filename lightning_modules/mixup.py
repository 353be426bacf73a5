"""Mixup (Zhang et al. 2018) and manifold mixup (Verma et al. 2019)."""

from typing import Any, Literal

from regularizer_collection.lightning_modules.classifier import Classifier
from regularizer_collection.regularizers import Mixup


class MixupClassifier(Classifier):
    """The classifier with :class:`regularizers.Mixup` as its first regularizer.

    Args:
        alpha: Parameter of the Beta distribution; 0 mixes nothing.
        layers: "input" mixes images, "hidden" feature maps.
        **kwargs: See :class:`Classifier`.

    Raises:
        ValueError: If an argument is out of range.
    """

    def __init__(
        self, alpha: float = 1.0, layers: Literal["input", "hidden"] = "input", **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.regularizers.insert(0, Mixup(alpha, layers))
