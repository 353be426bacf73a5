"""Singular value bounding (Jia, Tao, Gao, Xu, CVPR 2017)."""

from typing import Any

from pytorch_lightning import Callback
from torch import nn

from regularizer_collection.callbacks.singular_value_bounding import SingularValueBounding
from regularizer_collection.lightning_modules.classifier import Classifier


class SVBClassifier(Classifier):
    """Attaches :class:`SingularValueBounding` to the run.

    Args:
        eps: Width of the band [1 / (1 + eps), 1 + eps] of singular values.
        every_n_steps: Optimizer steps between two boundings.
        orthogonal_init: Starts from orthogonal weights, as in the paper; the source experiment
            does not.
        **kwargs: See :class:`Classifier`.

    Raises:
        ValueError: If an argument is out of range.
    """

    def __init__(
        self,
        eps: float = 0.05,
        every_n_steps: int = 600,
        orthogonal_init: bool = False,
        **kwargs: Any,
    ) -> None:
        self.bounding = SingularValueBounding(eps, every_n_steps)
        super().__init__(**kwargs)
        if orthogonal_init:
            for parameter in self.parameters():
                if parameter.ndim >= 2:
                    nn.init.orthogonal_(parameter)

    def configure_callbacks(self) -> list[Callback]:
        """Returns the bounding callback."""
        return [self.bounding]
