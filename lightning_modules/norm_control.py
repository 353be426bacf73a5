"""The control of singular value bounding and of weight decay: norms alone."""

from typing import Any

from pytorch_lightning import Callback

from regularizer_collection.callbacks.norm_control import NormControl
from regularizer_collection.lightning_modules.classifier import Classifier


class NormControlClassifier(Classifier):
    """Attaches :class:`NormControl` to the run.

    Args:
        every_n_steps: Optimizer steps between two projections.
        **kwargs: See :class:`Classifier`.

    Raises:
        ValueError: If an argument is out of range.
    """

    def __init__(self, every_n_steps: int = 600, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.norm_control = NormControl(every_n_steps)

    def configure_callbacks(self) -> list[Callback]:
        """Returns the callback.

        Raises:
            ValueError: If the run has such a callback of its own.
        """
        self.refuse_twin(self.norm_control, "set --model.every_n_steps")
        return [self.norm_control]
