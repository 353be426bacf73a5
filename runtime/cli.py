"""LightningCLI with a folder for each run."""

import errno
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from jsonargparse import Namespace
from pytorch_lightning import Callback, Trainer
from pytorch_lightning.cli import LightningArgumentParser, LightningCLI
from pytorch_lightning.loggers import Logger, TensorBoardLogger
from pytorch_lightning.utilities import rank_zero_only

from regularizer_collection.callbacks import (
    Dashboard,
    EpochLine,
    Measurement,
    PredictionWriter,
    Spectra,
    StopOnNonFiniteLoss,
    WeightGrowth,
)
from regularizer_collection.datamodules import ImageDataModule
from regularizer_collection.functional.weights import weights_hash
from regularizer_collection.lightning_modules import SyncBatchNorm
from regularizer_collection.runtime.arguments import allowed_imports, command_to_type
from regularizer_collection.runtime.carried_over import carried_over, own_defaults
from regularizer_collection.runtime.checkout import code_commit
from regularizer_collection.runtime.checkpoint_io import SafeCheckpointIO
from regularizer_collection.runtime.config_option import UNNAMED, ConfigOption
from regularizer_collection.runtime.config_to_repeat import config_to_repeat
from regularizer_collection.runtime.error_log import leave_traceback
from regularizer_collection.runtime.event_writer import quiet_event_writer
from regularizer_collection.runtime.given_checkpoint import take_checkpoints_as_given
from regularizer_collection.runtime.history import History, take_history
from regularizer_collection.runtime.identity import Identity
from regularizer_collection.runtime.initial_weights import file_hash, load_initial_weights
from regularizer_collection.runtime.last_checkpoint import LastCheckpoint
from regularizer_collection.runtime.measurements import (
    MEASUREMENTS,
    measurement_differences,
)
from regularizer_collection.runtime.num_classes import share_num_classes
from regularizer_collection.runtime.own_code import own_code_hashes
from regularizer_collection.runtime.paths import full_path
from regularizer_collection.runtime.results_file import NAME as RESULTS
from regularizer_collection.runtime.results_file import num_missing, read_results, write_results
from regularizer_collection.runtime.run_folder import (
    RunFolder,
    folder_to_fit,
    folder_to_test,
    has_ended,
    newest_checkpoint,
    part_of_the_test,
    refuse_other_length_of_schedule,
    refuse_to_shorten,
)
from regularizer_collection.runtime.run_lock import run_lock
from regularizer_collection.runtime.run_record import RunRecord, read_record
from regularizer_collection.runtime.stop_together import StopTogether

_SPAWNING = ("ddp_spawn", "ddp_fork", "ddp_notebook")


class RegularizerCLI(LightningCLI):
    """LightningCLI with a folder for each run.

    Args:
        args: Arguments after the program's name.
        trusted: Packages that ``--allow_imports`` named, for commands that are told to the user.
        kwargs: Arguments of LightningCLI.
    """

    def __init__(self, *, args: list[str], trusted: Sequence[str], **kwargs: Any) -> None:
        self._command = next(iter(args), None)
        self._trusted = trusted
        self.has_ended = False
        super().__init__(args=args, **kwargs)

    def _prepare_subcommand_parser(
        self, klass: type, subcommand: str, **kwargs: Any
    ) -> LightningArgumentParser:
        """Reads the signatures for the command that is asked; of the others, help needs a name."""
        if subcommand == self._command:
            return super()._prepare_subcommand_parser(klass, subcommand, **kwargs)
        return self.init_parser(**kwargs)

    def init_parser(self, **kwargs: Any) -> LightningArgumentParser:
        """Makes a parser whose ``--config`` is ours."""
        parser: Any = self.parser_class(**kwargs)
        parser.config_option = parser.add_argument(
            "-c", "--config", action=ConfigOption, help="Path or bare name of a config."
        )
        return parser

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Adds the variant's name, initial weights and what is measured."""
        parser.add_argument(
            "--variant", type=str, default=UNNAMED, help="Name of the run's folder."
        )
        parser.add_argument(
            "--initial_weights",
            type=str | None,
            default=None,
            help="Checkpoint or state dict whose weights a new training begins with.",
        )
        parser.add_argument(
            "--test",
            type=bool,
            default=True,
            help="Whether fit tests the weights of the last epoch; test does so later.",
        )
        for key, measurement in MEASUREMENTS.items():
            parser.add_lightning_class_args(measurement, key)

    def parse_arguments(self, parser: LightningArgumentParser, args: Any) -> None:
        """Parses the prepared arguments, which differ from those of the process on purpose.

        Raises:
            ValueError: If the run has no seed, or would be filed under the name of another variant
                or under none.
        """
        self.config = parser.parse_args(args)
        command = self.config.subcommand
        _refuse_null(self.config[command])
        _check_name_and_seed(self.config[command])
        _expand_paths(self.config[command])
        _share_seed(self.config[command])
        share_num_classes(self.config[command])
        if command == "fit":
            own: Any = self._parser(command)
            own.config_option.check_name(self.config[command])

    def _parse_ckpt_path(self) -> None:
        """Keeps the config: a checkpoint of another variant is refused, not adopted."""

    def recorded_config(self) -> dict[str, Any]:
        """Returns the config of the command, in which a user's own files are what is in them."""
        config = self.config[self.subcommand].as_dict()
        trained = (config["model"], config["data"], config["trainer"]["callbacks"])
        config["own_code"] = own_code_hashes(trained)
        if measured := own_code_hashes(config["evaluation"]):
            config["evaluation"]["own_code"] = measured
        if path := config.get("initial_weights"):
            config["initial_weights"] = file_hash(Path(path))
        return config

    def instantiate_trainer(self, **kwargs: Any) -> Trainer:
        """Chooses the run's folder, and points loggers and checkpoints there."""
        config = self.recorded_config()
        for part in (self.model, self.datamodule):  # classes of a user's own may take no seed
            if part is not None:
                part.seed = int(config["seed_everything"])
        trainer = self.config_init[self.subcommand].trainer
        if path := self.config[self.subcommand].get("initial_weights"):
            load_initial_weights(self.model.backbone, Path(path))
        if trainer.strategy in _SPAWNING:
            raise ValueError(
                f"strategy is {trainer.strategy}, whose processes keep their results to "
                "themselves; give --trainer.strategy ddp"
            )
        is_trial = bool(trainer.fast_dev_run)
        self.identity = Identity.of_config(
            config, data={} if is_trial else self.data_fingerprint(), commit=code_commit()
        )
        self.run_folder, self.is_own = self._choose_folder(config)
        self.trainer_defaults = {"callbacks": self._run_callbacks(trainer)}
        if not trainer.barebones:
            kwargs["logger"] = self._loggers(trainer.logger)
        plugins = trainer.plugins or []
        plugins = plugins if isinstance(plugins, list) else [plugins]
        kwargs["plugins"] = [*plugins, SafeCheckpointIO()]
        if trainer.sync_batchnorm:
            kwargs["plugins"].append(SyncBatchNorm())
        made = super().instantiate_trainer(default_root_dir=str(self.run_folder), **kwargs)
        take_checkpoints_as_given(made)
        return made

    def data_fingerprint(self) -> dict[str, str]:
        """Loads the data ahead of Lightning: a wrong run stops before it writes anything."""
        if rank_zero_only.rank != 0 or not isinstance(self.datamodule, ImageDataModule):  # type: ignore[attr-defined]
            return {}
        self.datamodule.prepare_data()
        self.datamodule.setup("fit" if self.subcommand == "fit" else "test")
        return self.datamodule.fingerprint()

    def _choose_folder(self, config: dict[str, Any]) -> RunFolder:
        """Chooses the run's folder, and which of its checkpoints "last" means."""
        root, path = Path(config["trainer"]["default_root_dir"]), config["ckpt_path"]
        if path == "best":
            raise ValueError(
                "ckpt_path is 'best', which a training alone knows; give last or a path"
            )
        is_named = path not in (None, "last", "hpc")
        checkpoint = _load(path) if is_named else None
        if self.subcommand == "fit":
            written = (checkpoint or {}).get("identity")
            by = Identity.from_dict(written) if written else None
            chosen = RunFolder(folder_to_fit(root, self.identity, path, by), is_own=True)
            # Slurm starts the same command again.
            if not is_named and (path is not None or any(chosen.path.glob("hpc_ckpt_*.ckpt"))):
                path = newest_checkpoint(chosen.path)
                checkpoint = _load(path) if path else None
            if checkpoint is not None:
                self._refuse_to_undo(chosen.path, config["trainer"], checkpoint, is_named)
        else:
            if path is not None and not is_named:
                folder = folder_to_fit(root, self.identity, path, continues=False)
                path = newest_checkpoint(folder) or folder / "checkpoints" / "last.ckpt"
                checkpoint = _load(path)  # or tells that it is missing
            weights = checkpoint and checkpoint["state_dict"]
            chosen = folder_to_test(root, self.identity, path and Path(path), weights)
            self.config[self.subcommand]["ckpt_path"] = path and str(path)
        self.config_init[self.subcommand]["ckpt_path"] = path and str(path)
        self.trained_as = (checkpoint or {}).get("identity")
        return chosen

    def _refuse_to_undo(
        self, folder: Path, trainer: dict[str, Any], checkpoint: dict[str, Any], is_named: bool
    ) -> None:
        """Refuses to continue where that would take back what the run has done."""
        refuse_other_length_of_schedule(self.identity, checkpoint)
        # One in the middle of a run may be named, from which to go on would undo the rest.
        newest = _newest_that_is_whole(folder) if is_named else None
        for known in (checkpoint, newest or {}):
            refuse_to_shorten(trainer, known)
        self.has_ended = has_ended(folder, self.identity, checkpoint)
        if self.has_ended and (differences := part_of_the_test(folder, self.identity)):
            raise ValueError(
                f"{differences[0]}, and the run has its results; test in place of fit "
                "keeps those of a part apart"
            )

    def _loggers(self, given: Any) -> list[Logger]:
        """Returns the loggers that were asked for, TensorBoard by default, and a fit's own record.

        What ``validate`` logs is of step 0, and would stand in the curves of the training.
        """
        if given in (None, True):
            given = TensorBoardLogger(self.run_folder, name="", version="", default_hp_metric=False)
            given = None if self.subcommand == "validate" else given
        given = given if isinstance(given, list) else [given] if given else []
        return [*given, History(self.run_folder)] if self.subcommand == "fit" else given

    def _run_subcommand(self, subcommand: str) -> None:
        """Runs the command while no other process may use the run's folder."""
        try:
            self._say_what_runs(subcommand)
            with run_lock(self.run_folder), quiet_event_writer():
                path = self.config_init[subcommand].get("ckpt_path")
                if subcommand == "fit" and path and self.trainer.is_global_zero:
                    take_history(Path(path), self.run_folder)
                super()._run_subcommand(subcommand)
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                raise
            raise OSError(
                f"cannot write to {self.run_folder} ({error.strerror}); make room, then continue "
                "from the last checkpoint with --ckpt_path last"
            ) from error
        except Exception as error:
            if path := leave_traceback(error, self.run_folder):
                error.add_note(str(path))
            raise

    def _say_what_runs(self, subcommand: str) -> None:
        if self.trainer.is_global_zero:
            parameters = sum(weight.numel() for weight in self.model.parameters())
            print(
                f"{subcommand} {self.identity.variant}, seed {self.identity.seed}: "
                f"{type(self.datamodule).__name__}, {self.identity.protocol} protocol, "
                f"{parameters:,} parameters, in {self.run_folder}",
                flush=True,
            )
            if subcommand != "fit" and not self.config[subcommand].ckpt_path:
                print("Nothing has trained these weights; --ckpt_path loads a run's.", flush=True)
            if subcommand == "fit":
                defaults = self._parser(subcommand).get_defaults()
                for sentence in carried_over(self.config[subcommand], defaults):
                    print(sentence, flush=True)

    def _run_callbacks(self, trainer: Namespace) -> list[Callback]:
        given = trainer.callbacks if isinstance(trainer.callbacks, list) else [trainer.callbacks]
        for key, measurement in MEASUREMENTS.items():
            if any(type(callback) is measurement for callback in given):
                raise ValueError(
                    f"trainer.callbacks has {measurement.__name__}, which every run has already; "
                    f"leave it out and give --{key}.*"
                )
        callbacks: list[Callback] = [
            StopOnNonFiniteLoss(),
            PredictionWriter(),
            Spectra(),
            EpochLine(),
            StopTogether(),
        ]
        if not trainer.barebones:  # which logs nothing
            callbacks += [Dashboard(), WeightGrowth()]
        config = self._parser(self.subcommand).dump(self.config[self.subcommand], skip_unset=False)
        self.record = RunRecord(self.run_folder, self.identity, config_to_repeat(config))
        callbacks.append(self.record)
        if trainer.enable_checkpointing is not False and not trainer.barebones:
            callbacks.append(
                LastCheckpoint(
                    self.run_folder / "checkpoints",
                    filename="last",
                    enable_version_counter=False,
                    save_on_train_epoch_end=True,
                    after_save=self.record.leave_earlier,
                )
            )
        return callbacks

    def fit(self, **arguments: Any) -> None:
        """Trains, unless the run has ended: Lightning would train on where one stopped early."""
        if not self.has_ended:
            self.trainer.fit(**arguments)

    def after_fit(self) -> None:
        """Tests the weights of the last epoch unless told not to, and says where results are."""
        if not self.config[self.subcommand].test:
            self._say_how_to_test()
            return
        path = self.config_init[self.subcommand]["ckpt_path"]
        if path and not self.record.has_trained:  # averages of weights go on from others
            self.model.load_state_dict(_load(path)["state_dict"])
        self.record.note_weights(self.trainer, self.model.state_dict())
        self._say_what_stopped_it()
        self.trainer.test(self.model, datamodule=self.datamodule)
        self._leave_results(self.identity, self.record.facts)

    def _say_what_stopped_it(self) -> None:
        facts = self.record.facts
        is_early = facts.get("stopped_by") not in ("max_epochs", "max_steps", None)
        if is_early and self.record.has_trained and self.trainer.is_global_zero:
            print(f"Stopped by {facts['stopped_by']} after {facts['steps']} steps.", flush=True)

    def _say_how_to_test(self) -> None:
        checkpoint = self.run_folder / "checkpoints" / "last.ckpt"
        if self.trainer.is_global_zero and checkpoint.exists():
            command = ["test", "--config", str(self.run_folder / "config.yaml")]
            command += ["--ckpt_path", str(checkpoint)]
            command += allowed_imports(self._trusted)
            print(f"Not tested, so there are no results yet: {command_to_type(*command)}")

    def after_test(self) -> None:
        """Leaves the results beside the run that was tested, or in a folder of the test's own."""
        if self.config[self.subcommand].ckpt_path is None:
            return
        identity: Identity = self.identity
        facts: dict[str, Any] = {
            "tested": str(self.config[self.subcommand].ckpt_path),
            "data": dict(identity.data),
            "trained_as": self.trained_as,
            "weights_sha256": weights_hash(self.model.state_dict()),
        }
        if self.is_own:
            identity, facts = read_record(self.run_folder) or (identity, {})
            earlier = read_results(self.run_folder / RESULTS)
            if identity.is_migrated:
                identity, facts = self.identity, earlier["facts"] if earlier else {}
        self._leave_results(identity, facts)

    def _leave_results(self, identity: Identity, facts: dict[str, Any]) -> None:
        is_trial = self.trainer.fast_dev_run  # type: ignore[attr-defined]
        if is_trial or not self.trainer.is_global_zero:
            return
        metrics = {name: value.item() for name, value in self.trainer.callback_metrics.items()}
        if "test/accuracy" not in metrics:
            print("No results: nothing was tested (barebones, or no test images).")
            return
        path = self.run_folder / (RESULTS if self.is_own else "test.json")
        callbacks: list[Callback] = self.trainer.callbacks  # type: ignore[attr-defined]
        made = [callback for callback in callbacks if isinstance(callback, Measurement)]
        measurements: dict[str, Any] = {m.section: m.record for m in made if m.record}
        if cut_off := [m.section for m in made if m.is_interrupted and not m.record]:
            measurements["cut_off"] = cut_off
        if self._is_less_than_there_is(path, facts, measurements):
            print(f"Kept: {path}, of which this test was interrupted with less")
            return
        test = {name: metrics[f"test/{name}"] for name in ("accuracy", "loss")}
        write_results(path, identity, facts, test, measurements)
        print(f"Results: {path}")
        if any(isinstance(logger, TensorBoardLogger) for logger in self.trainer.loggers):
            print(f"Dashboard: tensorboard --logdir {self.run_folder.parent.parent}")
            print("           then open http://localhost:6006/#custom_scalars")

    def _is_less_than_there_is(
        self, path: Path, facts: dict[str, Any], measurements: dict[str, Any]
    ) -> bool:
        """Tells whether a Ctrl-C kept from measuring what the results of these weights have."""
        earlier = read_results(path)
        if not earlier or earlier["facts"].get("weights_sha256") != facts.get("weights_sha256"):
            return False
        missing, missed_before = map(num_missing, (measurements, earlier["measurements"]))
        evaluation = earlier["identity"].get("evaluation", {})
        is_alike = not measurement_differences(self.identity.evaluation, evaluation)
        sections = earlier["measurements"].keys() - {"cut_off"}
        lost = sections - measurements.keys() if is_alike else ()
        return missing > missed_before or bool(lost)


def _newest_that_is_whole(folder: Path) -> dict[str, Any] | None:
    newest = newest_checkpoint(folder)
    try:
        return _load(newest) if newest else None
    except ValueError:  # damaged, so that a run that another is named for loses nothing
        return None


def _refuse_null(config: Namespace) -> None:
    needed = ("seed_everything", "variant", "test", "trainer", *MEASUREMENTS)
    of_the_model = (f"model.init_args.{key}" for key in _never_null(config.get("model")))
    for key in (*needed, *of_the_model):
        if key in config and config[key] is None:
            raise ValueError(f"{key} is null; give it a value, or leave it out to have the default")


def _never_null(model: Namespace | None) -> list[str]:
    """Returns what a model builds for the training, unless null is its own class's default."""
    if model is None:
        return []
    own = own_defaults(model.class_path)
    return [key for key in ("optimizer", "lr_scheduler") if key not in own or own[key] is not None]


def _check_name_and_seed(config: Namespace) -> None:
    name, seed = config.variant, config.seed_everything
    if name != Path(name).name or name in ("", ".."):
        raise ValueError(f"variant is {name!r}; give the name of a folder, which has no slash")
    if isinstance(seed, bool):
        raise ValueError(f"seed_everything is {seed}; give a number, with which the run repeats")
    if not 0 <= seed < 2**32:
        raise ValueError(f"seed_everything is {seed}; give a number from 0 to {2**32 - 1}")


def _share_seed(config: Namespace) -> None:
    """Gives the seed to model and data; jsonargparse's links exclude functions as backbones."""
    for target in ("model", "data"):
        arguments = config.get(f"{target}.init_args")
        if arguments is not None and "seed" in arguments:
            arguments["seed"] = int(config.seed_everything)


def _load(path: str | Path) -> dict[str, Any]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of a damaged file Lightning's own reading warns
        return SafeCheckpointIO().load_checkpoint(path)


def _expand_paths(config: Namespace) -> None:
    config["trainer.default_root_dir"] = config.get("trainer.default_root_dir") or "runs"
    for key in ("trainer.default_root_dir", "data.init_args.data_dir", "initial_weights"):
        if config.get(key) is not None:
            config[key] = full_path(config[key])
    if config.get("ckpt_path") not in (None, "last", "best", "hpc"):
        config["ckpt_path"] = full_path(config["ckpt_path"])
