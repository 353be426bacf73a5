"""LightningCLI with a folder for each run."""

import errno
from pathlib import Path
from typing import Any

from pytorch_lightning import LightningModule, Trainer
from pytorch_lightning.callbacks import ModelCheckpoint
from pytorch_lightning.cli import LightningArgumentParser, LightningCLI, SaveConfigCallback
from pytorch_lightning.loggers import TensorBoardLogger

from regularizer_collection.callbacks import Dashboard, Evaluation, StopOnNonFiniteLoss
from regularizer_collection.functional.singular_values import spectra_of
from regularizer_collection.lightning_modules import SyncBatchNorm
from regularizer_collection.runtime.atomic_write import atomic_write
from regularizer_collection.runtime.checkpoint_io import SafeCheckpointIO
from regularizer_collection.runtime.config_option import UNNAMED, ConfigOption
from regularizer_collection.runtime.event_writer import quiet_event_writer
from regularizer_collection.runtime.results_file import write_results
from regularizer_collection.runtime.run_folder import run_folder
from regularizer_collection.runtime.run_lock import run_lock


class SaveConfig(SaveConfigCallback):
    """Leaves the config in the run's folder, whole or not at all."""

    def save_config(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Writes what ``--config`` reads."""
        folder = Path(trainer.default_root_dir)
        folder.mkdir(parents=True, exist_ok=True)
        with atomic_write(folder / self.config_filename) as file:
            file.write(self.parser.dump(self.config, skip_unset=False))


class RegularizerCLI(LightningCLI):
    """LightningCLI with a folder for each run."""

    def init_parser(self, **kwargs: Any) -> LightningArgumentParser:
        """Makes a parser whose ``--config`` is ours."""
        parser: Any = self.parser_class(**kwargs)
        parser.config_option = parser.add_argument(
            "-c", "--config", action=ConfigOption, help="Path or bare name of a config."
        )
        return parser

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Adds the variant's name and gives the seed to everything that draws."""
        parser.add_argument(
            "--variant", type=str, default=UNNAMED, help="Name of the run's folder."
        )
        parser.add_lightning_class_args(Evaluation, "evaluation")
        for target in ("model", "data"):
            parser.link_arguments("seed_everything", f"{target}.init_args.seed", compute_fn=int)

    def parse_arguments(self, parser: LightningArgumentParser, args: Any) -> None:
        """Parses the prepared arguments, which differ from those of the process on purpose.

        Raises:
            ValueError: If the run would be filed under the name of another variant.
        """
        self.config = parser.parse_args(args)
        command = self.config.subcommand
        if command == "fit":
            own: Any = self._parser(command)
            own.config_option.check_name(self.config[command])

    def _parse_ckpt_path(self) -> None:
        """Keeps the config: a checkpoint of another variant is refused, not adopted."""

    def instantiate_trainer(self, **kwargs: Any) -> Trainer:
        """Points logger and checkpoints at the run's folder."""
        config = self.config[self.subcommand]
        self.run_folder = run_folder(
            Path(config.trainer.default_root_dir),
            config.variant,
            config.seed_everything,
            config.ckpt_path,
            fits=self.subcommand == "fit",
        )
        trainer = self.config_init[self.subcommand].trainer
        if trainer.logger in (None, True):
            kwargs["logger"] = TensorBoardLogger(
                self.run_folder, name="", version="", default_hp_metric=False
            )
        self.trainer_defaults = {"callbacks": self._run_callbacks()}
        self.save_config_kwargs = {"save_to_log_dir": False}
        if self.subcommand != "fit":
            self.save_config_callback = None  # the folder keeps the config that trained it
        kwargs["plugins"] = [*(trainer.plugins or []), SafeCheckpointIO()]
        if trainer.sync_batchnorm:
            kwargs["plugins"].append(SyncBatchNorm())
        return super().instantiate_trainer(default_root_dir=str(self.run_folder), **kwargs)

    def _run_subcommand(self, subcommand: str) -> None:
        """Runs the command while no other process may use the run's folder."""
        try:
            with run_lock(self.run_folder), quiet_event_writer():
                super()._run_subcommand(subcommand)
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                raise
            raise OSError(
                f"cannot write to {self.run_folder} ({error.strerror}); make room, then continue "
                "from the last checkpoint with --ckpt_path last"
            ) from error

    def _run_callbacks(self) -> list[Any]:
        checkpoint = ModelCheckpoint(
            self.run_folder / "checkpoints",
            filename="last",
            enable_version_counter=False,
            save_on_train_epoch_end=True,
        )
        return [StopOnNonFiniteLoss(), Dashboard(), checkpoint]

    def after_fit(self) -> None:
        """Tests the weights of the last epoch and says where the results are."""
        self.trainer.test(self.model, datamodule=self.datamodule)
        self._leave_results()

    def after_test(self) -> None:
        """Leaves the results beside the run that was tested."""
        if self.config[self.subcommand].ckpt_path is not None:
            self._leave_results()

    def _leave_results(self) -> None:
        is_trial = self.trainer.fast_dev_run  # type: ignore[attr-defined]
        if is_trial or not self.trainer.is_global_zero:
            return
        evaluation = self._get(self.config_init, "evaluation")
        metrics = {name: value.item() for name, value in self.trainer.callback_metrics.items()}
        spectra = spectra_of(self.model.backbone)
        maps = evaluation.class_maps
        path = write_results(self.run_folder, metrics, evaluation.results, maps, spectra)
        print(f"Results: {path}")
        print(f"Dashboard: tensorboard --logdir {self.run_folder.parent.parent}")
        print("           then open http://localhost:6006/#custom_scalars")
