"""The confidence penalty (Pereyra et al. 2017, arXiv 1701.06548)."""

import math

import torch
from torch import Tensor

from regularizer_collection.functional.checks import check_at_least
from regularizer_collection.regularizers.penalty import Penalty
from regularizer_collection.regularizers.step import Step


class ConfidencePenalty(Penalty):
    """Minimises CE - coefficient * mean H(p), H the entropy of the predicted classes (section 3).

    With a threshold only what the entropy lacks of it is penalised: coefficient * mean
    max(0, threshold - H(p)) (section 3.2).

    Args:
        coefficient: The paper's beta.
        threshold: Entropy in nats that is enough; infinity, the default, rewards any entropy.
        every_n_steps: See :class:`Penalty`.
        warmup_steps: See :class:`Penalty`.

    Raises:
        ValueError: If an argument is out of range.
    """

    def __init__(
        self,
        coefficient: float = 0.1,
        threshold: float = math.inf,
        every_n_steps: int = 1,
        warmup_steps: int | None = None,
    ) -> None:
        super().__init__(coefficient, every_n_steps, warmup_steps)
        check_at_least("threshold", threshold, 0)
        self.threshold = threshold

    def value(self, logits: Tensor, images: Tensor, targets: Tensor, step: Step) -> Tensor:
        """Computes the mean of -H(p), or of what H(p) lacks of the threshold."""
        dtype = torch.promote_types(logits.dtype, torch.float32)  # autocast keeps 16 on the CPU
        log_probabilities = logits.log_softmax(1, dtype=dtype)
        entropy = -(log_probabilities.exp() * log_probabilities).sum(1)
        if math.isinf(self.threshold):
            return -entropy.mean()
        return (self.threshold - entropy).relu().mean()
