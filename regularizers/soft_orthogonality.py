"""Soft orthogonality (Bansal, Chen, Wang 2018, arXiv 1810.09102)."""

from typing import Literal

import torch
from torch import Tensor

from regularizer_collection.functional.spectral import (
    double_gram_deviation,
    gram_deviation,
    gram_deviation_norm,
)
from regularizer_collection.functional.weights import weight_matrices
from regularizer_collection.regularizers.penalty import Penalty
from regularizer_collection.regularizers.step import Step

KINDS = ("so", "dso", "srip")


class SoftOrthogonality(Penalty):
    """Minimises CE + coefficient * mean over layers of how far a weight is from orthogonal.

    W is the weight as a matrix [out, rest], G the smaller of its two Gram matrices. "so" is
    ||G - I||_F^2 (equation 1), "dso" ||W W^T - I||_F^2 + ||W^T W - I||_F^2 (equation 3), "srip" the
    spectral norm of G - I after two power iterations (equation 8).

    Args:
        coefficient: Weight of the mean.
        kind: Which distance.
        every_n_steps: See :class:`Penalty`.
        warmup_steps: See :class:`Penalty`.

    Raises:
        ValueError: If an argument is out of range.
    """

    def __init__(
        self,
        coefficient: float = 1e-4,
        kind: Literal["so", "dso", "srip"] = "so",
        every_n_steps: int = 1,
        warmup_steps: int | None = None,
    ) -> None:
        super().__init__(coefficient, every_n_steps, warmup_steps)
        if kind not in KINDS:
            raise ValueError(f"kind is {kind!r}; give one of {', '.join(KINDS)}")
        self.kind = kind

    def value(self, logits: Tensor, images: Tensor, targets: Tensor, step: Step) -> Tensor:
        """Computes the mean over layers."""
        generator = step.generator("soft orthogonality", logits.device, shared=True)
        weights = weight_matrices(step.backbone).values()
        with torch.autocast(logits.device.type, enabled=False):  # 16 bits blur G - I
            return torch.stack([self._distance(weight, generator) for weight in weights]).mean()

    def _distance(self, weight: Tensor, generator: torch.Generator) -> Tensor:
        if self.kind == "so":
            return gram_deviation(weight)
        if self.kind == "dso":
            return double_gram_deviation(weight)
        size = min(weight.flatten(1).shape)
        start = torch.randn(size, generator=generator, dtype=weight.dtype, device=weight.device)
        return gram_deviation_norm(weight, start)
