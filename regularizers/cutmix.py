"""CutMix (Yun et al. 2019, arXiv 1905.04899)."""

import torch
from torch import Tensor

from regularizer_collection.functional.checks import check_at_least, check_between
from regularizer_collection.functional.mixing import draw_box, draw_mixing_ratio, mix, paste
from regularizer_collection.regularizers.regularizer import Regularizer
from regularizer_collection.regularizers.step import Step


class CutMix(Regularizer):
    """Minimises CE at images with a rectangle of another, targets mixed by area (section 3.1).

    One rectangle of area 1 - m, m from Beta(alpha, alpha), in every step; where the border cuts it,
    the targets follow its real area. Pairs are neighbours in the shuffled global batch.

    Args:
        alpha: Parameter of the Beta distribution; 0 mixes nothing.
        probability: Share of the steps in which images are mixed.

    Raises:
        ValueError: If an argument is out of range.
    """

    def __init__(self, alpha: float = 1.0, probability: float = 0.5) -> None:
        super().__init__()
        check_at_least("alpha", alpha, 0)
        check_between("probability", probability, 0, 1)
        self.alpha = alpha
        self.probability = probability

    def transform(self, images: Tensor, targets: Tensor, step: Step) -> tuple[Tensor, Tensor]:
        """Mixes images and targets."""
        generator = step.generator("cutmix", shared=True)
        if not self.alpha or torch.rand((), generator=generator) >= self.probability:
            return images, targets
        if step.num_classes < 2:
            raise ValueError(f"num_classes is {step.num_classes}; CutMix needs 2 or more")
        height, width = images.shape[-2:]
        box = draw_box(draw_mixing_ratio(self.alpha, generator), height, width, generator)
        pasted, ratio = paste(step.gather(images), box)
        mixed = mix(step.gather(step.probabilities(targets)), ratio)
        return step.share(pasted), step.share(mixed)
