"""Soft orthogonality (Bansal, Chen, Wang 2018)."""

from typing import Any, Literal

from regularizer_collection.lightning_modules.classifier import Classifier
from regularizer_collection.regularizers import SoftOrthogonality


class SoftOrthogonalityClassifier(Classifier):
    """The classifier with :class:`regularizers.SoftOrthogonality` as its first regularizer.

    Args:
        coefficient: Weight of the mean distance over layers.
        kind: Which distance from orthogonal.
        every_n_steps: Applies the penalty in every n-th optimizer step, with n times the weight.
        **kwargs: See :class:`Classifier`.

    Raises:
        ValueError: If an argument is out of range.
    """

    def __init__(
        self,
        coefficient: float = 1e-4,
        kind: Literal["so", "dso", "srip"] = "so",
        every_n_steps: int = 1,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.regularizers.insert(0, SoftOrthogonality(coefficient, kind, every_n_steps))
