"""Gaussian noise on the images (Bishop 1995, Training with noise is Tikhonov regularization)."""

from torch import Tensor

from regularizer_collection.functional.checks import check_at_least
from regularizer_collection.regularizers.regularizer import Regularizer
from regularizer_collection.regularizers.step import Step


class InputNoise(Regularizer):
    """Minimises CE at image + std * n, n standard normal, drawn anew in every step.

    Pixels are not clipped to 0 to 1, as in randomised smoothing.

    Args:
        std: Standard deviation in units of the normalised images.

    Raises:
        ValueError: If it is negative.
    """

    def __init__(self, std: float = 0.05) -> None:
        super().__init__()
        check_at_least("std", std, 0)
        self.std = std

    def transform(self, images: Tensor, targets: Tensor, step: Step) -> tuple[Tensor, Tensor]:
        """Adds the noise; any number of processes draws the same."""
        if not self.std:
            return images, targets
        return images + self.std * step.draw("input noise", images), targets
