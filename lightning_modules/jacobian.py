"""Jacobian regularization (Hoffman, Roberts, Yaida 2019, arXiv 1908.02729)."""

from typing import Any

from regularizer_collection.functional.checks import check_at_least
from regularizer_collection.lightning_modules.classifier import Classifier
from regularizer_collection.regularizers import JacobianPenalty


class JacobianClassifier(Classifier):
    """The classifier with :class:`regularizers.JacobianPenalty` as its first regularizer.

    Args:
        lambda_jacobian: Coefficient of the penalty.
        num_projections: Random directions for each sample; -1 takes all classes.
        every_n_steps: Applies the penalty in every n-th optimizer step, with n times the weight.
        **kwargs: See :class:`Classifier`.

    Raises:
        ValueError: If an argument is out of range.
    """

    def __init__(
        self,
        lambda_jacobian: float = 0.01,
        num_projections: int = 1,
        every_n_steps: int = 1,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        check_at_least("lambda_jacobian", lambda_jacobian, 0)
        penalty = JacobianPenalty(lambda_jacobian, num_projections, every_n_steps)
        self.regularizers.insert(0, penalty)
