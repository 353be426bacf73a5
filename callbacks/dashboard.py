"""What TensorBoard shows beside loss and accuracy."""

from typing import Any

import torch
from pytorch_lightning import Callback, LightningModule, Trainer
from pytorch_lightning.loggers import TensorBoardLogger
from pytorch_lightning.utilities import rank_zero_warn
from torch.utils.tensorboard import SummaryWriter

from regularizer_collection.callbacks.log_alike import log_alike
from regularizer_collection.callbacks.weight_projection import backbone_of
from regularizer_collection.datamodules.current_datamodule import current_datamodule
from regularizer_collection.datamodules.image_data_module import ImageDataModule
from regularizer_collection.functional.checks import check_at_least
from regularizer_collection.functional.jacobian import jacobian_norm_squared
from regularizer_collection.functional.seeding import derive_seed
from regularizer_collection.functional.singular_values import spectra_of

_LARGEST_BIN = 1e20  # of TensorBoard's histograms
LAYOUT = {
    "Overview": {
        "accuracy (share of images)": [
            "Multiline",
            ["train/accuracy", "(val|test_curve|test)/accuracy"],
        ],
        "loss (nats)": ["Multiline", ["train/(?!accuracy|penalty_gradient).*"]],
        "boundary density (1 / input unit)": ["Multiline", ["test.*/boundary_density/.*"]],
        "boundary length (pixel edges)": ["Multiline", ["test.*/boundary_length/.*"]],
        "isotropic total variation (class indices)": ["Multiline", ["test.*/tv_isotropic/.*"]],
        "Jacobian norm (logits / input unit, eval mode)": ["Multiline", ["jacobian/norm"]],
        "smallest and largest singular value (1)": ["Multiline", ["svb/sigma_m.*"]],
        "weight norms (1)": ["Multiline", ["weight_norm/.*"]],
        "learning rate / weight norm squared (1)": ["Multiline", ["effective_rate/.*"]],
        "penalty gradient / loss gradient (1)": ["Multiline", ["train/penalty_gradient_ratio"]],
        "learning rate (1)": ["Multiline", ["lr"]],
    }
}
"""Charts of the Custom Scalars tab with their units, what one looks at first on top.

Tags are regular expressions.
"""


class Dashboard(Callback):
    """Logs Jacobian norm and spectrum of every layer once an epoch; lays out the charts.

    ``jacobian/norm`` is the mean of ||J||_F, exact and in eval mode, over a fixed batch of test
    images. ``svb/sigma_min`` and ``svb/sigma_max`` are the extremes over all layers; each layer has
    its own beside a histogram.

    Args:
        num_images: Images of the fixed batch.

    Raises:
        ValueError: If ``num_images`` is below 1.
    """

    def __init__(self, num_images: int = 25) -> None:
        check_at_least("num_images", num_images, 1)
        self.num_images = num_images

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Writes the layout of the charts."""
        for writer in _writers(trainer):
            writer.add_custom_scalars(LAYOUT)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Logs Jacobian norm and spectra."""
        self._log_jacobian_norm(trainer, pl_module)
        self._log_spectra(trainer, pl_module)

    def on_test_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Enters hyperparameters with the real test metrics, and flushes."""
        metrics = {
            name: value.item()
            for name, value in trainer.callback_metrics.items()
            if name.startswith("test/")
        }
        for logger in trainer.loggers:
            if isinstance(logger, TensorBoardLogger):
                known = getattr(pl_module, "hyperparameters", lambda: dict(pl_module.hparams))
                hyperparameters = known()
                batch_size = getattr(current_datamodule(trainer), "batch_size", None)
                hyperparameters |= {"batch_size": batch_size} if batch_size else {}
                logger.log_hyperparams(hyperparameters, metrics, trainer.global_step)
        for writer in _writers(trainer):
            writer.flush()

    def _log_jacobian_norm(self, trainer: Trainer, pl_module: LightningModule) -> None:
        data = current_datamodule(trainer)
        if not isinstance(data, ImageDataModule) or not hasattr(pl_module, "for_inference"):
            return
        images, _ = data.images_and_labels("test")
        generator = torch.Generator().manual_seed(derive_seed("dashboard images", 0))
        chosen = torch.randperm(len(images), generator=generator)[: self.num_images]
        batch = data.normalize(images[chosen].to(pl_module.device))
        batch = batch.to(pl_module.dtype).requires_grad_()
        with pl_module.for_inference() as model:  # type: ignore[operator]
            with torch.enable_grad():
                logits = model(batch)
            try:
                with torch.no_grad():
                    norms = jacobian_norm_squared(logits, batch, num_projections=-1)
            except RuntimeError as error:  # a compiled backbone may give its gradients but once
                rank_zero_warn(f"jacobian/norm is left out of the dashboard: {error}")
                return
        log_alike(pl_module, "jacobian/norm", norms.sqrt().mean())

    def _log_spectra(self, trainer: Trainer, pl_module: LightningModule) -> None:
        spectra = spectra_of(backbone_of(pl_module))
        if not spectra:
            return
        extremes = torch.stack([sigma[[0, -1]] for sigma in spectra.values()])
        log_alike(pl_module, "svb/sigma_min", extremes[:, 0].min())
        log_alike(pl_module, "svb/sigma_max", extremes[:, 1].max())
        for writer in _writers(trainer):
            for layer, sigma in spectra.items():
                shown = sigma.clamp(max=_LARGEST_BIN)
                writer.add_histogram(f"singular_values/{layer}", shown, trainer.global_step)
                writer.add_scalar(f"sigma_min/{layer}", sigma[0], trainer.global_step)
                writer.add_scalar(f"sigma_max/{layer}", sigma[-1], trainer.global_step)


def _writers(trainer: Trainer) -> list[SummaryWriter]:
    loggers: list[Any] = trainer.loggers
    return [logger.experiment for logger in loggers if isinstance(logger, TensorBoardLogger)]
