"""Jacobian regularization (Hoffman, Roberts, Yaida 2019, arXiv 1908.02729)."""

from typing import Any

import torch
from torch import Tensor

from regularizer_collection.functional.jacobian import (
    check_num_projections,
    output_projections,
    projected_norm_squared,
)
from regularizer_collection.functional.seeding import derive_seed
from regularizer_collection.lightning_modules.classifier import Batch, Classifier


class JacobianClassifier(Classifier):
    """Adds lambda / 2 times the batch mean of ||J||_F^2, J = d logits / d images (equation 4).

    The penalty reuses the logits of the loss and carries gradient to every weight. Batch
    normalisation in training mode ties the samples together, so what is penalised is the gradient
    of the batch's summed projections; it holds terms between samples.

    Args:
        lambda_jacobian: Coefficient lambda.
        num_projections: Random directions for each sample; -1 takes the exact norm.
        every_n_steps: Applies the penalty in every n-th batch, with n times the weight: the same
            expected gradient for less work.
        **kwargs: See :class:`Classifier`.

    Raises:
        ValueError: If an argument is out of range.
    """

    def __init__(
        self,
        lambda_jacobian: float = 0.01,
        num_projections: int = 1,
        every_n_steps: int = 1,
        **kwargs: Any,
    ) -> None:
        if not lambda_jacobian >= 0:
            raise ValueError(f"lambda_jacobian is {lambda_jacobian}; give 0 or more")
        check_num_projections(num_projections)
        if every_n_steps < 1:
            raise ValueError(f"every_n_steps is {every_n_steps}; give 1 or more")
        super().__init__(**kwargs)
        self.lambda_jacobian = lambda_jacobian
        self.num_projections = num_projections
        self.every_n_steps = every_n_steps

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Returns cross-entropy plus penalty."""
        images, labels = batch
        return super().training_step(
            (images.requires_grad_(self._is_penalised(batch_idx)), labels), batch_idx
        )

    def penalty(self, logits: Tensor, images: Tensor, batch_idx: int) -> Tensor | None:
        """Returns the term of the loss, logged as ``train/jacobian_penalty``."""
        if not self._is_penalised(batch_idx):
            return None
        norms = projected_norm_squared(logits, images, self._projections(logits, batch_idx))
        penalty = self.every_n_steps * self.lambda_jacobian / 2 * norms.mean()
        self.log("train/jacobian_penalty", penalty)
        return penalty

    def _is_penalised(self, batch_idx: int) -> bool:
        return batch_idx % self.every_n_steps == 0

    def _projections(self, logits: Tensor, batch_idx: int) -> Tensor:
        """Draws for the global batch and keeps this rank's share: any number of ranks agrees."""
        generator = torch.Generator(logits.device).manual_seed(
            derive_seed("projections", self.seed, self.current_epoch, batch_idx)
        )
        ranks = self.trainer.world_size
        everyone = logits.new_empty(len(logits) * ranks, logits.shape[1])
        projections = output_projections(everyone.float(), self.num_projections, generator)
        return projections[:, self.global_rank :: ranks].to(logits.dtype)
