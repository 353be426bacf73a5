"""One run of a study: a variant with a seed."""

import ctypes
import json
import os
import platform
import signal
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import regularizer_collection
from regularizer_collection.callbacks.attack_protocol import VERSION
from regularizer_collection.runtime.checkout import code_commit
from regularizer_collection.runtime.history import read_history
from regularizer_collection.runtime.identity import Identity
from regularizer_collection.runtime.launch import config_of, data_of
from regularizer_collection.runtime.measurements import measurement_differences
from regularizer_collection.runtime.results_file import NAME, num_missing, read_results
from regularizer_collection.runtime.run_folder import (
    has_checkpoint,
    newest_checkpoint,
    part_of_the_test,
)
from regularizer_collection.runtime.run_record import read_config, read_record

PROJECT = Path(regularizer_collection.__file__).parent.parent
"""Folder in which ``regularizer_collection`` is found."""
_PR_SET_PDEATHSIG = 1  # linux/prctl.h


@dataclass(frozen=True)
class Run:
    """A training with its test, as a command of its own.

    Attributes:
        variant: Name of the variant.
        seed: Seed of the run.
        root: Folder of all runs, absolute.
        options: Further arguments of ``cli.py fit``.
        config: Config of the variant; None means the one of its name.
    """

    variant: str
    seed: int
    root: Path
    options: tuple[str, ...] = ()
    config: str | None = None

    @property
    def folder(self) -> Path:
        """Where the run leaves its files."""
        return self.root / self.variant / f"seed_{self.seed}"

    @property
    def identity(self) -> Identity:
        """What the run is, as its command line says."""
        identity = Identity.of_config(_config_of(self.arguments), commit=code_commit())
        return replace(identity, variant=self.variant, seed=self.seed)

    @property
    def devices(self) -> int | None:
        """Devices that the run asks for; None if it takes all that there are."""
        try:
            asked = str(_config_of(self.arguments)["trainer"]["devices"])
        except Exception:  # the run itself will say what is wrong with its config
            return 1
        return int(asked) if asked.isdigit() else None

    @property
    def arguments(self) -> tuple[str, ...]:
        """The command line, but for what differs between seeds."""
        return (
            *("fit", "--config", self.config or f"{self.variant}.yaml"),
            *self.options,
            *("--variant", self.variant),
            *("--trainer.default_root_dir", str(self.root)),
            *("--trainer.enable_progress_bar", "false"),
        )

    @property
    def log(self) -> Path:
        """What the run printed, over all restarts."""
        return self.folder / "run.log"

    @property
    def command(self) -> list[str]:
        """Trains from the last checkpoint, or anew, and tests."""
        return [
            *(sys.executable, "-m", "regularizer_collection"),
            *self.arguments,
            *("--seed_everything", str(self.seed)),
            *(("--ckpt_path", self._checkpoint) if has_checkpoint(self.folder) else ()),
        ]

    @property
    def _checkpoint(self) -> str:
        """Says where to continue: "last", or by name where a repetition stands beside the run."""
        again = self.folder.with_name(f"{self.folder.name}_run_2")
        named = newest_checkpoint(self.folder) if again.exists() else None
        return str(named or "last")

    def obstacles(self, hashes: dict[str, dict[str, str]]) -> list[str]:
        """Names what makes the run in the folder another than this one, or unfit to become it.

        Args:
            hashes: Hashes of the images of each config of data that was looked at, added to.
        """
        if not has_checkpoint(self.folder) and (differences := self.measured_otherwise()):
            return differences
        record = read_record(self.folder)
        if record is None:
            return self.trained_otherwise()  # by results, where they alone were kept of a run
        identity = self.identity
        if differences := part_of_the_test(self.folder, identity):
            return differences
        data = _config_of(self.arguments)["data"]
        if record[0].data and (_may_change(data) or _may_change(self._data_before())):
            key = json.dumps(data, sort_keys=True)
            if key not in hashes:
                hashes[key] = data_of([*self.arguments])
            identity = replace(identity, data=hashes[key])
        return identity.differences(record[0])

    def _data_before(self) -> dict[str, Any]:
        try:
            return read_config(self.folder)["data"]
        except FileNotFoundError:
            return {}

    def measured_otherwise(self) -> list[str]:
        """Names what differs in how the results in the folder were measured, if there are any."""
        results = read_results(self.folder / NAME)
        if results is None or "evaluation" not in results["identity"]:
            return []
        asked = self.identity.evaluation
        differences = measurement_differences(asked, results["identity"]["evaluation"])
        if robustness := results["measurements"].get("robustness"):
            version = robustness.get("settings", {}).get("version")
            if version != VERSION:
                differences.append(f"robustness is of version {VERSION} here and {version} there")
        return differences

    def is_finished(self) -> bool:
        """Tells whether the run has left its results, measured as is asked and to the end."""
        results = read_results(self.folder / NAME)
        if results is None or self.measured_otherwise():
            return False
        # Where a longer run was begun, the results are still those of the shorter one.
        if self._trained_otherwise(results):
            return False
        return num_missing(results["measurements"]) == 0

    def trained_otherwise(self) -> list[str]:
        """Names what differs in how the results in the folder were trained, if there are any."""
        results = read_results(self.folder / NAME)
        return [] if results is None else self._trained_otherwise(results)

    def _trained_otherwise(self, results: dict[str, Any]) -> list[str]:
        """Names what differs in how the network of the results was trained."""
        if "settings" not in results["identity"]:
            return []
        return self.identity.differences(Identity.from_dict(results["identity"]))

    def start(self, threads: int | None = None, gpus: str | None = None) -> subprocess.Popen[bytes]:
        """Starts the command; it ends when this process does, however that ends.

        Args:
            threads: Threads of the process, unless OMP_NUM_THREADS says otherwise.
            gpus: GPUs that the run sees, as CUDA_VISIBLE_DEVICES names them; None lets it see all.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        inherited = dict(os.environ)
        if inherited.get("SLURM_NTASKS", "1") != "1":
            # Lightning would take the run for one of the tasks and wait for the others.
            inherited = {key: inherited[key] for key in inherited if "SLURM_NTASKS" not in key}
        variables = {"PYTHONUNBUFFERED": "1", "PYTHONPATH": python_path()}
        if threads is not None:
            variables["OMP_NUM_THREADS"] = os.environ.get("OMP_NUM_THREADS", str(threads))
        if gpus is not None:
            variables["CUDA_VISIBLE_DEVICES"] = gpus
        with self.log.open("ab") as log:
            return subprocess.Popen(
                self.command,
                stdout=log,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                preexec_fn=_die_with_parent if platform.system() == "Linux" else None,
                env=inherited | variables,
            )

    def progress(self) -> tuple[int, int | None, float | None]:
        """Returns the epochs done, those to do if known, and the accuracy after the last one."""
        try:
            epochs = read_config(self.folder)["trainer"].get("max_epochs")
            history = read_history(self.folder)
        except (FileNotFoundError, ValueError):  # which the run itself will tell
            return 0, None, None
        curve = history.get("val/accuracy") or history.get("test_curve/accuracy") or []
        known = epochs if isinstance(epochs, int) and epochs > 0 else None
        return len(curve), known, curve[-1][1] if curve else None


def python_path() -> str:
    """Returns a PYTHONPATH with which another process imports what this one does."""
    return os.pathsep.join([str(PROJECT), *filter(None, [os.environ.get("PYTHONPATH")])])


def _die_with_parent() -> None:
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _may_change(data: Mapping[str, Any]) -> bool:
    """Tells whether images can change behind a config of data.

    Those of ours are drawn from a seed or have a checksum, unless they are files that nothing
    verifies.
    """
    arguments = data.get("init_args") or {}
    is_ours = str(data.get("class_path")).startswith("regularizer_collection.datamodules.")
    return not is_ours or ("data_dir" in arguments and not arguments.get("verify"))


@cache
def _config_of(arguments: tuple[str, ...]) -> dict[str, Any]:
    return config_of(list(arguments))
