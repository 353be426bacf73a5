"""The singular values of a network's layers."""

import numpy as np
from pytorch_lightning import LightningModule, Trainer

from regularizer_collection.callbacks.measurement import Measurement
from regularizer_collection.functional.singular_values import spectra_of

_QUANTILES = np.linspace(0, 1, 33)


class Spectra(Measurement):
    """Keeps 33 quantiles of the singular values of every layer, at test time."""

    section = "spectra"

    def on_test_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Fills :attr:`record`."""
        spectra = spectra_of(pl_module.backbone)  # type: ignore[arg-type]
        self.record = {
            "quantiles": {
                layer: [float(f"{q:.4g}") for q in np.quantile(sigma.cpu(), _QUANTILES)]
                for layer, sigma in spectra.items()
            }
        }
