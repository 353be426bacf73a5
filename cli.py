"""The one command: fit, validate, test, predict, study and report."""

import errno
import json
import re
import sys
from pathlib import Path
from typing import Any

import yaml
from jsonargparse import ArgumentError, auto_cli
from pytorch_lightning import LightningModule, Trainer
from pytorch_lightning.callbacks import ModelCheckpoint
from pytorch_lightning.cli import LightningArgumentParser, LightningCLI, SaveConfigCallback
from pytorch_lightning.loggers import TensorBoardLogger
from pytorch_lightning.utilities.exceptions import MisconfigurationException

from callbacks import Dashboard, Evaluation, StopOnNonFiniteLoss
from datamodules import ImageDataModule
from experiments.allowed_imports import check_imports
from experiments.checkpoint_io import SafeCheckpointIO
from experiments.config_files import DEFAULTS, find_config
from experiments.error_line import error_line
from experiments.event_writer import quiet_event_writer
from experiments.memory import keep_freed_memory
from experiments.report import write_report
from experiments.results_file import write_results
from experiments.run_folder import run_folder
from experiments.run_lock import run_lock
from experiments.study import run_study
from experiments.whole_file import whole_file
from functional.singular_values import spectra_of
from lightning_modules import Classifier, SyncBatchNorm

# What a wrong input raises, in this project or in a library it reaches.
INPUT_ERRORS = (
    ArgumentError,
    ArithmeticError,
    ImportError,
    MemoryError,
    MisconfigurationException,
    OSError,
    RuntimeError,
    TypeError,
    ValueError,
    yaml.YAMLError,
)

_FIT_OPTION = re.compile(
    r"--(model|data|trainer|evaluation|optimizer|lr_scheduler|allow_imports)\b"
)
_STRICT: dict[str, Any] = {"exit_on_error": False, "allow_abbrev": False}


class SaveConfig(SaveConfigCallback):
    """Leaves the config in the run's folder, whole or not at all."""

    def save_config(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Writes what ``--config`` reads."""
        folder = Path(trainer.default_root_dir)
        folder.mkdir(parents=True, exist_ok=True)
        with whole_file(folder / self.config_filename) as file:
            file.write(self.parser.dump(self.config, skip_unset=False))


class RegularizerCLI(LightningCLI):
    """LightningCLI with a folder for each run."""

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Adds the variant's name and gives the seed to everything that draws."""
        parser.add_argument(
            "--variant", type=str, default="custom", help="Name of the run's folder."
        )
        parser.add_lightning_class_args(Evaluation, "evaluation")
        for target in ("model", "data"):
            parser.link_arguments("seed_everything", f"{target}.init_args.seed", compute_fn=int)

    def parse_arguments(self, parser: LightningArgumentParser, args: Any) -> None:
        """Parses the prepared arguments, which differ from those of the process on purpose."""
        self.config = parser.parse_args(args)

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


def main(args: list[str] | None = None) -> int:
    """Runs a command line and returns the exit code.

    Args:
        args: Arguments after the program's name; None takes those of the process.
    """
    args = sys.argv[1:] if args is None else args
    keep_freed_memory()
    try:
        if args[:1] == ["study"]:
            return int(auto_cli(run_study, args=_study_arguments(args[1:]), **_STRICT) > 0)
        if args[:1] == ["report"]:
            auto_cli(write_report, args=args[1:], **_STRICT)
            return 0
        RegularizerCLI(
            Classifier,
            ImageDataModule,
            SaveConfig,
            subclass_mode_model=True,
            subclass_mode_data=True,
            auto_configure_optimizers=False,
            parser_kwargs=_STRICT
            | {
                command: _STRICT | {"default_config_files": [str(DEFAULTS)]}
                for command in RegularizerCLI.subcommands()
            },
            args=_check_imports(_prepare(args)),
        )
    except INPUT_ERRORS as error:
        print(f"error: {error_line(str(error) or repr(error))}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        return 130
    return 0


def _check_imports(args: list[str]) -> list[str]:
    """Refuses classes of packages that no ``--allow_imports NAME`` names, and takes these out."""
    kept: list[str] = []
    allowed: list[str] = []
    for previous, arg in zip(["", *args], args, strict=False):
        if previous == "--allow_imports" or arg.startswith("--allow_imports="):
            allowed.append(arg.removeprefix("--allow_imports="))
        elif arg != "--allow_imports":
            kept.append(arg)
    check_imports(kept, allowed)
    return kept


def _study_arguments(args: list[str]) -> list[str]:
    """Writes lists as jsonargparse reads them, and passes on what belongs to each fit."""
    own: list[str] = []
    options: list[str] = []
    target = own
    for previous, arg in zip(["", *args], args, strict=False):
        if arg.startswith("--"):
            target = options if _FIT_OPTION.match(arg) else own
        if previous == "--config" or arg.startswith("--config="):
            config = str(find_config(arg.removeprefix("--config=")))
            arg = config if previous == "--config" else f"--config={config}"
        elif previous in ("--seeds", "--variants") and not arg.startswith("["):
            arg = f"[{arg}]"
        target.append(arg)
    return [*own, f"--options+={json.dumps(options)}"] if options else own


def _prepare(args: list[str]) -> list[str]:
    """Finds bare config names, names the variant after the first, takes LightningCLI's own keys."""
    prepared, variant = [], None
    for previous, arg in zip(["", *args], args, strict=False):
        if previous == "--config" or arg.startswith("--config="):
            config = find_config(arg.removeprefix("--config="))
            variant = variant or config.stem
            arg = str(config) if previous == "--config" else f"--config={config}"
        prepared.append(re.sub(r"^--(optimizer|lr_scheduler)\b", r"--model.\1", arg))
    # In front of the configs, so that a variant that they name wins.
    return prepared[:1] + (["--variant", variant] if variant else []) + prepared[1:]


if __name__ == "__main__":
    sys.exit(main())
