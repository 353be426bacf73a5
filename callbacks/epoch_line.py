"""Progress where there is no terminal."""

import sys
import time

from pytorch_lightning import Callback, LightningModule, Trainer


class EpochLine(Callback):
    """Prints a line after every epoch: epoch, accuracies, loss and minutes left.

    Only where output goes to a file or a pipe, in which a progress bar shows nothing for minutes.
    """

    def __init__(self) -> None:
        self._started = 0.0
        self._first_epoch = 0
        self._validated_epoch = -1

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Starts the watch."""
        self._started = time.monotonic()
        self._first_epoch = trainer.current_epoch

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Notes that the epoch has an accuracy: what was validated before stays in the metrics."""
        if not trainer.sanity_checking:
            self._validated_epoch = trainer.current_epoch

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Prints the line."""
        if trainer.is_global_zero and not sys.stdout.isatty():
            print(self._line(trainer), flush=True)

    def _line(self, trainer: Trainer) -> str:
        done, epochs = trainer.current_epoch + 1, trainer.max_epochs
        line = f"epoch {done}/{epochs if epochs and epochs > 0 else '?'}"
        for name in ("val/accuracy", "test_curve/accuracy"):
            if name in trainer.callback_metrics and self._validated_epoch == trainer.current_epoch:
                line += f", {name} {100 * trainer.callback_metrics[name]:.2f} %"
        if "train/loss" in trainer.callback_metrics:
            line += f", train/loss {trainer.callback_metrics['train/loss']:.3f}"
        if epochs and epochs > 0:
            per_epoch = (time.monotonic() - self._started) / (done - self._first_epoch)
            line += f", {per_epoch * (epochs - done) / 60:.0f} min left"
        return line
