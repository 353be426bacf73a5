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

    def value(self, logits: Tensor, images: Tensor, targets: Tensor, step: Step) -> Tensor:
        """Computes half the sum of squares."""
        with torch.autocast(logits.device.type, enabled=False):
            weights = weight_matrices(step.backbone).items()
            return torch.stack([self._square(n, w, step) for n, w in weights]).sum() / 2

    def _square(self, name: str, weight: Tensor, step: Step) -> Tensor:
        matrix, kept = weight.flatten(1), name.replace(".", "/")  # a buffer's name has no dots
        right = self._buffers.get(kept)
        if right is None:
            generator = step.generator(f"power iteration {name}", matrix.device, shared=True)
            size = matrix.shape[1]
            right = torch.randn(size, generator=generator, dtype=matrix.dtype, device=matrix.device)
        left, right = power_iteration(weight, right.to(matrix))
        self.register_buffer(kept, right)
        return (left @ matrix @ right).square()

    def _load_from_state_dict(
        self, state_dict: dict[str, Any], prefix: str, *args: Any, **kwargs: Any
    ) -> None:
        self._buffers.clear()  # the state of before the first step has none
        for name, vector in state_dict.items():
            if name.startswith(prefix):
                self.register_buffer(name.removeprefix(prefix), torch.empty_like(vector))
        super()._load_from_state_dict(state_dict, prefix, *args, **kwargs)
