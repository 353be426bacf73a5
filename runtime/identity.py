"""What a run is: all that can change one of its numbers."""

import hashlib
import inspect
import json
import sys
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from importlib import import_module
from typing import Any, Self

from lightning_fabric.plugins import CheckpointIO, ClusterEnvironment

from regularizer_collection.runtime.plain_value import plain_value
from regularizer_collection.runtime.trainer_spellings import is_part, spelled_alike

NOT_RECORDED = "not recorded"
"""Stands for a fact that an older version did not write down."""

TRAINER_KEYS_THAT_COUNT = {
    *("max_epochs", "min_epochs", "max_steps", "min_steps", "max_time", "limit_train_batches"),
    *("limit_val_batches", "val_check_interval", "check_val_every_n_epoch", "overfit_batches"),
    *("accumulate_grad_batches", "gradient_clip_val", "gradient_clip_algorithm", "precision"),
    *("sync_batchnorm", "use_distributed_sampler", "reload_dataloaders_every_n_epochs"),
    *("callbacks", "fast_dev_run", "plugins", "strategy"),
}
"""Arguments of the Trainer that can change a number of the training."""

TRAINER_KEYS_THAT_DO_NOT_COUNT = {
    # Where it runs. The global batch is the same on any number of processes.
    *("accelerator", "devices", "num_nodes", "default_root_dir"),
    # What is shown and kept of it.
    *("logger", "log_every_n_steps", "enable_checkpointing", "enable_progress_bar"),
    *("enable_model_summary", "num_sanity_val_steps", "profiler", "detect_anomaly", "barebones"),
    *("enable_autolog_hparams", "model_registry", "inference_mode", "benchmark", "deterministic"),
    *("limit_test_batches", "limit_predict_batches"),
}
"""Arguments of the Trainer that cannot."""

TRAINER_KEYS_OF_THE_MEASURES = ("limit_test_batches", "limit_predict_batches")
"""Those of them that change what is measured of a trained network."""

WATCHING_CALLBACKS = {
    *("ModelCheckpoint", "LearningRateMonitor", "DeviceStatsMonitor", "ThroughputMonitor"),
    *("TQDMProgressBar", "RichProgressBar", "ProgressBar", "ModelSummary", "RichModelSummary"),
    *("Dashboard", "WeightGrowth", "StopOnNonFiniteLoss", "EpochLine"),
    *("OnExceptionCheckpoint", "SpikeDetection"),
}
"""Classes of callbacks that change no number; any other counts."""

_PLUGINS_OF_THE_MACHINE = (CheckpointIO, ClusterEnvironment)
_NUMBERS_OF_A_STRATEGY = {
    *("precision_plugin", "mixed_precision", "model_averaging_period"),
    *("ddp_comm_state", "ddp_comm_hook", "ddp_comm_wrapper"),
}

LENGTH = {
    f"trainer.{key}" for key in ("max_epochs", "min_epochs", "max_steps", "min_steps", "max_time")
}
"""Settings in which a run may differ from the one that it continues."""

_CLASS_FOLDERS = {"backbones", "callbacks", "datamodules", "lightning_modules", "regularizers"}
_NOT_AS_BEFORE = {"bound_at_start"}
"""Arguments whose default is not what versions did that did not have them."""
_DATA_KEYS_THAT_DO_NOT_COUNT = {"data_dir", "download", "verify", "seed"}


@dataclass(frozen=True)
class Identity:
    """What a run is.

    Attributes:
        variant: Name of the variant.
        seed: Seed of the run.
        settings: All of the config that can change a number of the training, by dotted key.
        evaluation: How the trained network is measured, which makes no other training.
        data: Hash of each split's images and labels.
        commit: Commit of the code; "+" marks local changes.
        is_migrated: Whether it was read from what an older version left, which knew fewer keys.
    """

    variant: str
    seed: int
    settings: dict[str, Any]
    evaluation: dict[str, Any] = field(default_factory=dict)
    data: dict[str, str] = field(default_factory=dict)
    commit: str = "unknown"
    is_migrated: bool = False

    @classmethod
    def of_config(cls, config: Mapping[str, Any], **facts: Any) -> Self:
        """Makes the identity of a resolved config.

        Args:
            config: Config of ``fit`` or ``test``, as nested dictionaries.
            **facts: Further attributes.
        """
        config = plain_value(config)
        trainer = config["trainer"]
        counted_keys = TRAINER_KEYS_THAT_COUNT.intersection(trainer)
        counted = {
            "model": config["model"],
            "data": config["data"],
            "trainer": _what_trains(
                spelled_alike({key: trainer[key] for key in sorted(counted_keys)})
            ),
            "initial_weights": config.get("initial_weights"),
            "own_code": config.get("own_code", {}),
        }
        flat = _flattened(counted)
        settings = {key: value for key, value in flat.items() if not _is_neutral(key)}
        evaluation = dict(config.get("evaluation") or {})
        for section in ("robustness", "calibration"):
            arguments = config.get(section) or {}
            evaluation |= {f"{section}.{key}": value for key, value in arguments.items()}
        for key in TRAINER_KEYS_OF_THE_MEASURES:
            if is_part(trainer.get(key)):
                evaluation[f"trainer.{key}"] = trainer[key]
        return cls(config["variant"], int(config["seed_everything"]), settings, evaluation, **facts)

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> Self:
        """Reads what :meth:`to_dict` made, which older versions spelled as it was typed."""
        prefix, settings = "trainer.", content["settings"]
        typed = {k.removeprefix(prefix): settings[k] for k in settings if k.startswith(prefix)}
        spelled = {prefix + key: value for key, value in spelled_alike(typed).items()}
        return cls(**{**content, "settings": settings | spelled})

    def to_dict(self) -> dict[str, Any]:
        """Returns plain types alone."""
        return asdict(self)

    @property
    def fingerprint(self) -> str:
        """Hash of the settings, the same for all seeds."""
        canonical = json.dumps(self.settings, sort_keys=True)
        return hashlib.sha256(canonical.encode()).hexdigest()[:12]

    @property
    def protocol(self) -> str:
        """Name of the training protocol: "source", "stable", or how else gradients are clipped."""
        clip = self.settings.get("trainer.gradient_clip_val")
        if not clip:
            return "source"
        algorithm = self.settings.get("trainer.gradient_clip_algorithm") or "norm"
        return "stable" if (clip, algorithm) == (1.0, "norm") else f"clipped by {algorithm} {clip}"

    def differences(self, other: "Identity", ignored: Iterable[str] = ()) -> list[str]:
        """Names what makes the other run another one, with both values.

        Args:
            other: Identity of the other run.
            ignored: Keys that may differ.
        """
        ours, theirs = ({"variant": i.variant, "seed": i.seed} | i.settings for i in (self, other))
        keys = set(ours) | set(theirs)
        if self.is_migrated or other.is_migrated:
            keys = set(ours) & set(theirs)
        # Older versions did not hash a user's own files, and left no word of them.
        keys -= {key for key in set(ours) ^ set(theirs) if key.startswith("own_code.")}
        ours |= {f"data, {split} split": value for split, value in self.data.items()}
        theirs |= {f"data, {split} split": value for split, value in other.data.items()}
        keys |= {f"data, {split} split" for split in set(self.data) & set(other.data)}
        return [
            f"{key} is {ours.get(key)} here and {theirs.get(key)} there"
            for key in sorted(keys.difference(ignored))
            if not _is_same(
                ours.get(key, _default(theirs, key)), theirs.get(key, _default(ours, key))
            )
        ]


def _flattened(value: Any, key: str = "") -> dict[str, Any]:
    """Writes nested dictionaries and lists as dotted keys, classes by one of their names."""
    if isinstance(value, Mapping):
        items: Iterable[tuple[Any, Any]] = value.items()
    elif isinstance(value, list) and any(isinstance(v, Mapping) for v in value):
        items = enumerate(value)
    else:
        if isinstance(value, str):
            value = value.removeprefix("regularizer_collection.")
        return {key: value}
    return {
        flat_key: flat
        for name, item in items
        for flat_key, flat in _flattened(item, f"{key}.{name}" if key else str(name)).items()
    }


def _what_trains(trainer: Mapping[str, Any]) -> dict[str, Any]:
    """Leaves out what only watches, or says where it runs."""
    callbacks, plugins = (_listed(trainer.get(key)) for key in ("callbacks", "plugins"))
    acting = [c for c in callbacks if _class_path(c).rpartition(".")[2] not in WATCHING_CALLBACKS]
    counted = [plugin for plugin in plugins if not _is_of_the_machine(plugin)]
    strategy = trainer.get("strategy")
    arguments = strategy.get("init_args") or {} if isinstance(strategy, Mapping) else {}
    # Mappings that are empty leave no key: runs without them keep the fingerprint they had before.
    return {
        **trainer,
        "callbacks": acting or None,
        "plugins": dict(enumerate(counted)),
        "strategy": {
            key: arguments[key] for key in _NUMBERS_OF_A_STRATEGY if arguments.get(key) is not None
        },
    }


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value] if value else []


def _is_of_the_machine(plugin: Any) -> bool:
    module, _, name = _class_path(plugin).rpartition(".")
    cls = getattr(sys.modules.get(module), name, None)
    return isinstance(cls, type) and issubclass(cls, _PLUGINS_OF_THE_MACHINE)


def _class_path(item: Any) -> str:
    return str(item.get("class_path", "") if isinstance(item, Mapping) else item)


def _is_neutral(key: str) -> bool:
    section, _, rest = key.partition(".init_args.")
    if section == "data":
        return rest in _DATA_KEYS_THAT_DO_NOT_COUNT
    return section == "model" and rest == "seed"


def _is_same(ours: Any, theirs: Any) -> bool:
    if ours in (None, [], {}):
        return theirs in (None, [], {})
    return bool(ours == theirs) or _is_moved(ours, theirs)


def _is_moved(ours: Any, theirs: Any) -> bool:
    """Tells whether two names are of one class of ours, which lay in another folder before."""
    names = [str(value).rpartition(".") for value in (ours, theirs)]
    return names[0][2] == names[1][2] and all(folder in _CLASS_FOLDERS for folder, _, _ in names)


def _default(settings: dict[str, Any], key: str) -> Any:
    """Returns what a class of ours takes for an argument that an older version did not have.

    Args:
        settings: Settings in which the argument stands.
        key: Its key.
    """
    owner, _, argument = key.rpartition(".init_args.")
    folder, _, name = str(settings.get(f"{owner}.class_path")).rpartition(".")
    if key not in settings or folder not in _CLASS_FOLDERS or argument in _NOT_AS_BEFORE:
        return None
    cls = getattr(import_module(f"regularizer_collection.{folder}"), name, object)
    for base in inspect.getmro(cls):
        parameter = inspect.signature(base).parameters.get(argument)
        if parameter is not None and parameter.default is not parameter.empty:
            return parameter.default
    return None
