"""Mixup (Zhang et al. 2018, arXiv 1710.09412), manifold mixup (Verma et al. 2019, 1806.05236)."""

from typing import Any, Literal

import torch
from torch import Tensor, nn

from regularizer_collection.functional.checks import check_at_least
from regularizer_collection.functional.mixing import draw_mixing_ratio, mix
from regularizer_collection.regularizers.regularizer import Loss, Regularizer
from regularizer_collection.regularizers.step import Step

STAGES = ("layer1", "layer2")


class Mixup(Regularizer):
    """Minimises CE at convex combinations of samples and of their targets.

    m x_i + (1 - m) x_(i-1), the targets likewise, with one m from Beta(alpha, alpha) in every step.
    Manifold mixup combines the output of ``layer1`` or ``layer2``, chosen anew in every step, in
    place of the images. Pairs are neighbours in the shuffled batch: of the global batch for images,
    of each process's share of it for feature maps, whose gradients stay on their process.

    Args:
        alpha: Parameter of the Beta distribution; 0 mixes nothing.
        layers: "input" mixes images, "hidden" feature maps.

    Raises:
        ValueError: If an argument is out of range.
    """

    def __init__(self, alpha: float = 1.0, layers: Literal["input", "hidden"] = "input") -> None:
        super().__init__()
        check_at_least("alpha", alpha, 0)
        if layers not in ("input", "hidden"):
            raise ValueError(f"layers is {layers!r}; give 'input' or 'hidden'")
        self.alpha = alpha
        self.layers = layers

    def transform(self, images: Tensor, targets: Tensor, step: Step) -> tuple[Tensor, Tensor]:
        """Mixes the targets, and the images unless feature maps are mixed."""
        if not self.alpha:
            return images, targets
        if step.num_classes < 2:
            raise ValueError(f"num_classes is {step.num_classes}; mixup needs 2 or more")
        ratio, probabilities = self._ratio(step), step.probabilities(targets)
        if self.layers == "hidden":
            return images, mix(probabilities, ratio)
        mixed = mix(step.gather(images), ratio), mix(step.gather(probabilities), ratio)
        return step.share(mixed[0]), step.share(mixed[1])

    def wrap(self, loss: Loss, step: Step) -> Loss:
        """Mixes feature maps while the loss is computed, if asked to."""
        if not self.alpha or self.layers == "input":
            return loss
        ratio, stage = self._ratio(step), self._stage(step)

        mixed_shapes = []

        def mix_output(module: nn.Module, args: Any, output: Tensor) -> Tensor:
            mixed_shapes.append(output.shape)
            return mix(output, ratio)

        def mixed_loss() -> Tensor:
            hook = stage.register_forward_hook(mix_output)
            try:
                total = loss()
            finally:
                hook.remove()
            if not mixed_shapes:
                raise ValueError(
                    "the backbone was compiled before its feature maps were mixed, and would mix "
                    "targets alone; compile it anew"
                )
            return total

        return mixed_loss

    def _ratio(self, step: Step) -> float:
        return draw_mixing_ratio(self.alpha, step.generator("mixup", shared=True))

    def _stage(self, step: Step) -> nn.Module:
        if missing := [name for name in STAGES if not hasattr(step.backbone, name)]:
            raise ValueError(
                f"{type(step.backbone).__name__} has no {' and no '.join(missing)}, whose output "
                "layers='hidden' mixes; give a ResNet, or layers='input'"
            )
        generator = step.generator("stage", shared=True)
        chosen = STAGES[int(torch.randint(len(STAGES), (1,), generator=generator))]
        return step.backbone.get_submodule(chosen)
