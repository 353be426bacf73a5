"""Spectral norm regularization (Yoshida, Miyato 2017, arXiv 1705.10941)."""

from typing import Any

import torch
from torch import Tensor

from regularizer_collection.functional.spectral import power_iteration
from regularizer_collection.functional.weights import weight_matrices
from regularizer_collection.regularizers.penalty import Penalty
from regularizer_collection.regularizers.step import Step


class SpectralNormPenalty(Penalty):
    """Minimises CE + coefficient / 2 * sum over layers of sigma_1(W)^2 (equation 5).

    sigma_1 is u^T W v, u and v from one power iteration in each step (algorithm 1), which goes on
    from that of the step before and is kept in checkpoints.

    Args:
        coefficient: The paper's lambda.
        every_n_steps: See :class:`Penalty`.
        warmup_steps: See :class:`Penalty`.

    Raises:
        ValueError: If an argument is out of range.
    """

    def __init__(
        self, coefficient: float = 0.01, every_n_steps: int = 1, warmup_steps: int | None = None
    ) -> None:
        super().__init__(coefficient, every_n_steps, warmup_steps)
        self.right_vectors: dict[str, Tensor] = {}

    def value(self, logits: Tensor, images: Tensor, targets: Tensor, step: Step) -> Tensor:
        """Computes half the sum of squares."""
        generator = step.generator("power iteration", logits.device, shared=True)
        squares = []
        for name, weight in weight_matrices(step.backbone).items():
            matrix = weight.flatten(1)
            if name in self.right_vectors:
                right = self.right_vectors[name].to(matrix)
            else:
                right = torch.randn(
                    matrix.shape[1], generator=generator, dtype=matrix.dtype, device=matrix.device
                )
            left, right = power_iteration(weight, right)
            self.right_vectors[name] = right
            squares.append((left @ matrix @ right).square())
        return torch.stack(squares).sum() / 2

    def get_extra_state(self) -> dict[str, Tensor]:
        """Returns the vectors, by the names of their weights."""
        return self.right_vectors

    def set_extra_state(self, state: Any) -> None:
        """Restores the vectors."""
        self.right_vectors = dict(state)
