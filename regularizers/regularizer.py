"""The base of everything that changes the loss of a training step."""

import re
from collections.abc import Callable
from typing import ClassVar

from torch import Tensor, nn

from regularizer_collection.regularizers.step import Step

Loss = Callable[[], Tensor]


class Regularizer(nn.Module):
    """Changes how the loss of a training step comes about; override what you need.

    :func:`regularized_loss` calls the methods in the order in which they stand here. Random numbers
    come from :meth:`Step.generator`, so a resumed run and any number of processes repeat them.
    What is remembered from step to step is a buffer or parameter that ``__init__`` makes, which
    checkpoints hold; on many processes it comes from :meth:`Step.gather`.
    """

    takes_gradients: ClassVar[bool] = False
    """Whether a step differentiates something before the loss. Float16 is refused for it: the scale
    that keeps small gradients above 0 is that of the loss alone."""

    @property
    def name(self) -> str:
        """The class's name in snake case, as in the logged metric ``train/<name>``."""
        return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", type(self).__name__).lower()

    def transform(self, images: Tensor, targets: Tensor, step: Step) -> tuple[Tensor, Tensor]:
        """Returns the images and targets to train on.

        Args:
            images: Normalised images [batch, channels, height, width].
            targets: Labels [batch], or probabilities [batch, classes] where an earlier
                regularizer mixed them; :meth:`Step.probabilities` makes the second of either.
            step: Where the training stands.
        """
        return images, targets

    def needs_image_gradient(self, step: Step) -> bool:
        """Tells whether :meth:`penalty` differentiates with respect to the images."""
        return False

    def wrap(self, loss: Loss, step: Step) -> Loss:
        """Returns the loss to minimise in place of ``loss``, which may be called several times."""
        return loss

    def penalty(self, logits: Tensor, images: Tensor, targets: Tensor, step: Step) -> Tensor | None:
        """Returns a term of the loss, a scalar, or None where there is none.

        Called once a step, or twice where :class:`SharpnessAware` takes a second gradient.

        Args:
            logits: Logits [batch, classes] of the images, the same that the cross-entropy uses.
            images: Images after all transforms; they require a gradient where asked for.
            targets: Labels [batch] or probabilities [batch, classes], after all transforms.
            step: Where the training stands.
        """
        return None
