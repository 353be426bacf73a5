"""The config that made a run."""

from pathlib import Path

from pytorch_lightning import LightningModule, Trainer
from pytorch_lightning.cli import SaveConfigCallback

from regularizer_collection.runtime.atomic_write import atomic_write


class SaveConfig(SaveConfigCallback):
    """Leaves the config in the run's folder, whole or not at all."""

    def save_config(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Writes what ``--config`` reads."""
        folder = Path(trainer.default_root_dir)
        folder.mkdir(parents=True, exist_ok=True)
        with atomic_write(folder / self.config_filename) as file:
            file.write(self.parser.dump(self.config, skip_unset=False))
