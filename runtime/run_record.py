"""``run.json``: what a run is, from its first moment, and what happened in it."""

import json
import math
import os
import platform
import time
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
import yaml
from lightning_fabric.utilities.data import sized_len
from pytorch_lightning import Callback, LightningModule, Trainer
from pytorch_lightning.callbacks import EarlyStopping, Timer
from pytorch_lightning.callbacks.early_stopping import EarlyStoppingReason
from torch.optim import Optimizer

from regularizer_collection.datamodules.current_datamodule import current_datamodule
from regularizer_collection.functional.weights import weights_hash
from regularizer_collection.runtime.atomic_write import atomic_write
from regularizer_collection.runtime.identity import NOT_RECORDED, Identity

NAME = "run.json"
SCHEMA_VERSION = 2
_PACKAGES = ("torch", "torchvision", "pytorch-lightning", "torchmetrics", "numpy", "scipy")


class RunRecord(Callback):
    """Writes ``run.json`` and ``config.yaml``, and the identity into checkpoints.

    They are written when training begins and when it ends. A finished run keeps those that it has
    until a training that continues it has come to a checkpoint.

    What is recorded of a training is taken from trainer, optimizer and weights, not from the
    config.

    Args:
        folder: Folder of the run.
        identity: What the run is.
        config: What ``--config`` reads to make the run again.
    """

    def __init__(self, folder: Path, identity: Identity, config: str) -> None:
        self.folder = folder
        self.identity = identity
        self._config = config
        self.facts: dict[str, Any] = {}
        earlier = read_record(folder)
        self._earlier: dict[str, Any] = earlier[1] if earlier else {}
        self._seconds = 0.0
        self._batches = 0
        self._course: dict[str, list[Any]] = {}
        self._optimizer: dict[str, Any] = {}
        self._planned_epochs: int | None = None
        self.has_trained = False
        self._started = time.monotonic()

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Notes how long the training is to be, before averages of weights add a pass to it."""
        if stage == "fit":
            self._planned_epochs = trainer.max_epochs

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Leaves the identity in the folder before anything is trained."""
        if not self._earlier:
            self._write(trainer)

    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Writes down what happened where nothing was trained: all of it earlier, or nothing."""
        if not self.facts:
            self.facts = self._earlier or self._what_happened(trainer, pl_module)
            self._write(trainer)

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Starts the watch."""
        self.has_trained = True
        self._started = time.monotonic()
        self._note_course(trainer)

    def on_before_optimizer_step(
        self, trainer: Trainer, pl_module: LightningModule, optimizer: Optimizer
    ) -> None:
        """Notes the settings with which the step is made, of each group where they differ."""
        first, *others = optimizer.param_groups
        settings = {
            key: value
            if all(group.get(key) == value for group in others)
            else [group.get(key) for group in optimizer.param_groups]
            for key, value in first.items()
            if key != "params"
        }
        self._optimizer = {"class": type(optimizer).__name__, **settings}

    def on_train_batch_start(self, *_: Any) -> None:
        """Counts as the batches are fetched, after which a continued run begins with the next.

        Slurm's signal may come amid a batch.
        """
        self._batches += 1

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Writes down what happened."""
        self._seconds += time.monotonic() - self._started
        self._started = time.monotonic()
        self.facts = self._what_happened(trainer, pl_module)
        self._write(trainer)

    def note_weights(self, trainer: Trainer, state_dict: Mapping[str, Any]) -> None:
        """Writes down the weights that are about to be tested.

        Args:
            trainer: The trainer.
            state_dict: The module's, after all that hooks did to it.

        Raises:
            ValueError: If the checkpoint is not of the weights that the training ended with.
        """
        found = weights_hash(state_dict)
        ended_with = self._earlier.get("weights_sha256", NOT_RECORDED)
        if not self.has_trained and ended_with not in (NOT_RECORDED, found):
            raise ValueError(
                "the last checkpoint does not hold the weights that the training ended with, "
                "averages of them, say; leave --ckpt_path out to train again"
            )
        self.facts = (self.facts or self._earlier) | {"weights_sha256": found}
        self._write(trainer)

    def _note_course(self, trainer: Trainer) -> None:
        """Notes what may not be as it was before the run was continued."""
        now = {
            "planned_epochs": self._planned_epochs,
            "commit": self.identity.commit,
            "host": f"{platform.node()}, {platform.machine()}, {os.cpu_count()} cores",
            "device": _device(trainer),
            "world_size": trainer.world_size,
            "precision": trainer.precision,
            "float32_products": _float32_products(trainer),
            "versions": {name: version(name) for name in _PACKAGES},
        }
        for key, value in now.items():
            noted = self._course.setdefault(key, [])
            if noted[-1:] != [value]:
                noted.append(value)

    def _what_happened(self, trainer: Trainer, pl_module: LightningModule) -> dict[str, Any]:
        if "versions" not in self._course:  # nothing was trained, or by an older version
            self._note_course(trainer)
        course = {key: _one_or_all(noted) for key, noted in self._course.items()}
        data = current_datamodule(trainer)
        return {
            "epochs": self._epochs(trainer),
            "steps": trainer.global_step,
            "max_epochs": trainer.max_epochs,
            "planned_epochs": self._course["planned_epochs"],
            "stopped_by": _why_it_stopped(trainer),
            "world_size": course["world_size"],
            "global_batch": getattr(data, "batch_size", NOT_RECORDED),
            "precision": course["precision"],
            "device": course["device"],
            "float32_products": course["float32_products"],
            "optimizer": json.loads(json.dumps(self._optimizer, default=str)),
            "weights_sha256": weights_hash(pl_module.state_dict()),
            "train_seconds": round(self._seconds, 1),
            "commit": course["commit"],
            "data": {"name": type(data).__name__, "num_classes": _num_classes(data, pl_module)}
            | self.identity.data,
            "host": course["host"],
            "versions": course["versions"],
        }

    def _epochs(self, trainer: Trainer) -> float:
        """Returns the passes over the training images, a whole number unless one was cut off."""
        if not self._batches:
            return 0
        loader: Any = trainer.train_dataloader
        is_one = not isinstance(loader, dict | list | tuple)
        whole = (sized_len(loader) if is_one else None) or trainer.num_training_batches
        if whole == math.inf:  # a stream, which has no length
            return trainer.current_epoch
        epochs = self._batches / whole
        if self._planned_epochs is not None and self._planned_epochs > 0:
            epochs = min(epochs, self._planned_epochs)  # what averages of weights add trains none
        return int(epochs) if epochs == int(epochs) else round(epochs, 3)

    def _write(self, trainer: Trainer) -> None:
        if trainer.is_global_zero and not trainer.fast_dev_run:  # type: ignore[attr-defined]
            write_record(self.folder, self.identity, self.facts, self._config)

    def on_save_checkpoint(
        self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Puts the identity into the checkpoint."""
        checkpoint["identity"] = self.identity.to_dict()

    def leave_earlier(self, trainer: Trainer) -> None:
        """Begins the record of a run that continues a finished one, whose checkpoint is gone."""
        if self._earlier and self.has_trained:
            self._earlier = {}
            self._write(trainer)

    def state_dict(self) -> dict[str, Any]:
        """Returns what is known so far of the facts, for whoever continues."""
        seconds = self._seconds + time.monotonic() - self._started
        return {
            "train_seconds": seconds,
            "batches": self._batches,
            "course": self._course,
            "optimizer": self._optimizer,
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restores them."""
        self._seconds = state_dict["train_seconds"]
        self._batches = state_dict["batches"]
        older = {"planned_epochs": state_dict.get("planned_epochs", [])}
        self._course = {key: list(noted) for key, noted in state_dict.get("course", older).items()}
        self._optimizer = dict(state_dict.get("optimizer", {}))


def write_record(folder: Path, identity: Identity, facts: Mapping[str, Any], config: str) -> None:
    """Writes ``config.yaml`` and ``run.json`` into a run's folder, each whole or not at all."""
    folder.mkdir(parents=True, exist_ok=True)
    with atomic_write(folder / "config.yaml") as file:
        file.write(config)
    with atomic_write(folder / NAME) as file:
        content = {"schema_version": SCHEMA_VERSION, "identity": identity.to_dict()}
        json.dump(content | {"facts": dict(facts)}, file, indent=1)


def read_record(folder: Path) -> tuple[Identity, dict[str, Any]] | None:
    """Returns identity and facts of the run in a folder; None where none was.

    A run of an older version, which left its config alone, has an identity of the keys of its time.

    Raises:
        ValueError: If a file is damaged.
    """
    if (folder / NAME).is_file():
        try:
            content = json.loads((folder / NAME).read_text())
            return Identity.from_dict(content["identity"]), content["facts"]
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(
                f"{folder / NAME} is damaged ({error!r}); move the run's folder away"
            ) from error
    if (folder / "config.yaml").is_file():
        return Identity.of_config(read_config(folder), commit=NOT_RECORDED, is_migrated=True), {}
    return None


def read_config(folder: Path) -> dict[str, Any]:
    """Returns the config of the run in a folder.

    Raises:
        FileNotFoundError: If there is none.
        ValueError: If the file is damaged.
    """
    path = folder / "config.yaml"
    try:
        config = yaml.safe_load(path.read_text())
    except yaml.YAMLError:
        config = None
    if not isinstance(config, dict) or not all(
        isinstance(config.get(section), dict) for section in ("trainer", "data", "model")
    ):
        raise ValueError(f"{path} holds no whole config; move the run's folder away")
    return config


def _why_it_stopped(trainer: Trainer) -> str:
    """Names the reason; the order is that of what ends a run first."""
    callbacks: list[Callback] = trainer.callbacks  # type: ignore[attr-defined]
    if trainer.received_sigterm or trainer.interrupted:
        return "signal"
    remaining = [callback.time_remaining() for callback in callbacks if isinstance(callback, Timer)]
    if any(seconds is not None and seconds <= 0 for seconds in remaining):
        return "max_time"
    never = EarlyStoppingReason.NOT_STOPPED
    stoppers = [c for c in callbacks if isinstance(c, EarlyStopping)]
    # A continued run remembers why an earlier one stopped.
    if trainer.should_stop and any(c.stopping_reason is not never for c in stoppers):
        return "early stopping"
    if trainer.max_steps != -1 and trainer.global_step >= trainer.max_steps:
        return "max_steps"
    if trainer.max_epochs not in (None, -1) and trainer.current_epoch >= (trainer.max_epochs or 0):
        return "max_epochs"
    return "a callback"


def _one_or_all(noted: list[Any]) -> Any:
    """Returns what was so throughout, or all that was: texts as one, dictionaries by their keys."""
    if isinstance(noted[0], dict):
        keys = {key: None for values in noted for key in values}
        return {key: _one_or_all([values.get(key) for values in noted]) for key in keys}
    distinct = list(dict.fromkeys(noted))
    if all(isinstance(value, str) for value in distinct):
        return "; ".join(distinct)
    return distinct if len(distinct) > 1 else distinct[0]


def _device(trainer: Trainer) -> str:
    device = trainer.strategy.root_device
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type


def _float32_products(trainer: Trainer) -> dict[str, str]:
    """Tells to what a GPU rounds the factors of float32 products, by torch's settings."""
    if trainer.strategy.root_device.type != "cuda":
        return {}
    convolutions: Any = torch.backends.cudnn.conv  # type: ignore[attr-defined]
    settings = {"convolutions": convolutions, "matrices": torch.backends.cuda.matmul}
    return {
        name: {"none": "ieee"}.get(setting.fp32_precision, setting.fp32_precision)
        for name, setting in settings.items()
    }


def _num_classes(data: Any, pl_module: LightningModule) -> Any:
    return getattr(data, "num_classes", getattr(pl_module, "num_classes", NOT_RECORDED))
