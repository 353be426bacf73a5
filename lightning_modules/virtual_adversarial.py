"""Virtual adversarial training (Miyato et al. 2018)."""

from typing import Any

from regularizer_collection.lightning_modules.classifier import Classifier
from regularizer_collection.regularizers import VirtualAdversarial


class VirtualAdversarialClassifier(Classifier):
    """The classifier with :class:`regularizers.VirtualAdversarial` as its first regularizer.

    Args:
        coefficient: Weight of the divergence.
        eps: Length of the perturbation in units of the normalised images.
        every_n_steps: Applies the penalty in every n-th optimizer step, with n times the weight.
        **kwargs: See :class:`Classifier`.

    Raises:
        ValueError: If an argument is out of range.
    """

    def __init__(
        self,
        coefficient: float = 1.0,
        eps: float = 2.0,
        every_n_steps: int = 1,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.regularizers.insert(0, VirtualAdversarial(coefficient, eps, every_n_steps))
