"""Label smoothing (Szegedy et al. 2016, arXiv 1512.00567)."""

from torch import Tensor

from regularizer_collection.functional.checks import check_between
from regularizer_collection.regularizers.regularizer import Regularizer
from regularizer_collection.regularizers.step import Step


class LabelSmoothing(Regularizer):
    """Minimises CE to (1 - smoothing) * target + smoothing / classes (section 7).

    Args:
        smoothing: Share of the target that is spread evenly over all classes.

    Raises:
        ValueError: If it is outside 0 to 1.
    """

    def __init__(self, smoothing: float = 0.1) -> None:
        super().__init__()
        check_between("smoothing", smoothing, 0, 1)
        self.smoothing = smoothing

    def transform(self, images: Tensor, targets: Tensor, step: Step) -> tuple[Tensor, Tensor]:
        """Smooths the targets."""
        if not self.smoothing:
            return images, targets
        kept = (1 - self.smoothing) * step.probabilities(targets)
        return images, kept + self.smoothing / step.num_classes
