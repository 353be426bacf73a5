"""The run's own checkpoint."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from pytorch_lightning import LightningModule, Trainer
from pytorch_lightning.callbacks import ModelCheckpoint
from pytorch_lightning.utilities.exceptions import SIGTERMException

from regularizer_collection.runtime.history import History


class LastCheckpoint(ModelCheckpoint):
    """The run's own checkpoint; a class of its own, so that its state is no other's.

    It is written at SIGTERM too, with which schedulers announce the end.

    Args:
        args: See ``ModelCheckpoint``.
        after_save: Called with the trainer whenever the checkpoint is on disk.
        kwargs: See ``ModelCheckpoint``.
    """

    def __init__(
        self, *args: Any, after_save: Callable[[Trainer], None] | None = None, **kwargs: Any
    ) -> None:
        super().__init__(*args, **kwargs)
        self._after_save = after_save or (lambda trainer: None)

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Counts what a run continues from as saved.

        Raises:
            ValueError: If another callback writes weights alone to the same file.
        """
        super().on_train_start(trainer, pl_module)
        for other in trainer.checkpoint_callbacks:
            if isinstance(other, ModelCheckpoint) and _overwrites(other, self):
                raise ValueError(
                    "a ModelCheckpoint has save_last and save_weights_only, and from such a "
                    "last.ckpt no run could go on; leave save_last out, or give it another dirpath"
                )
        self._last_global_step_saved = trainer.global_step

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Has the epoch's metrics in the run's history before a checkpoint says that it is over.

        Lightning logs them afterwards, so a training that is killed in between would lack them.
        """
        # Each process has a part in the sums.
        metrics = {
            tag: float(value) for tag, value in trainer._logger_connector.metrics["log"].items()
        }
        for logger in trainer.loggers:
            if isinstance(logger, History):
                logger.log_metrics(metrics, trainer.global_step - 1)
                logger.save()
        super().on_train_epoch_end(trainer, pl_module)
        if self._last_global_step_saved == trainer.global_step:
            self._after_save(trainer)

    def on_exception(
        self, trainer: Trainer, pl_module: LightningModule, exception: BaseException
    ) -> None:
        """Saves where the training stands at SIGTERM, unless it was saved at this very step."""
        is_news = trainer.global_step != self._last_global_step_saved
        if isinstance(exception, SIGTERMException) and trainer.training and is_news:
            trainer.save_checkpoint(Path(self.dirpath or "") / "last.ckpt")
            self._after_save(trainer)

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restores nothing: the paths are those of this run's folder."""


def _overwrites(other: ModelCheckpoint, own: LastCheckpoint) -> bool:
    """Tells whether a callback replaces the run's own checkpoint by one without its optimizer."""
    is_there = Path(other.dirpath or "").resolve() == Path(own.dirpath or "").resolve()
    return is_there and bool(other.save_last) and other.save_weights_only
