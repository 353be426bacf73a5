"""Singular value bounding (Jia, Tao, Gao, Xu, CVPR 2017)."""

from typing import Any

import torch
from pytorch_lightning import Callback
from torch import nn

from regularizer_collection.callbacks.singular_value_bounding import SingularValueBounding
from regularizer_collection.lightning_modules.classifier import Classifier


class SVBClassifier(Classifier):
    """Attaches :class:`SingularValueBounding` to the run.

    Args:
        eps: Width of the band [1 / (1 + eps), 1 + eps] of singular values.
        every_n_steps: Optimizer steps between two boundings.
        bound_at_start: Bounds after the first optimizer step too, as the source experiment did.
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
        bound_at_start: bool = True,
        orthogonal_init: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.bounding = SingularValueBounding(eps, every_n_steps, bound_at_start)
        if orthogonal_init:
            for weight in self.bounding.weights(self.backbone).values():
                # orthogonal_ takes no channels_last weight, as it views it as rows
                rows = torch.empty_like(weight, memory_format=torch.contiguous_format)
                with torch.no_grad():
                    weight.copy_(nn.init.orthogonal_(rows))

    def configure_callbacks(self) -> list[Callback]:
        """Returns the bounding callback.

        Raises:
            ValueError: If the run has a bounding of its own.
        """
        self.refuse_twin(self.bounding, "set --model.eps and --model.every_n_steps")
        return [self.bounding]
