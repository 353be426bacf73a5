"""Where a run leaves its files; every choice compares what runs are, never what they are called."""

import hashlib
import json
import os
import re
from collections.abc import Mapping
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple

from torch import Tensor

from regularizer_collection.functional.weights import weights_hash
from regularizer_collection.runtime import results_file
from regularizer_collection.runtime.checkpoint_io import PREVIOUS, SafeCheckpointIO
from regularizer_collection.runtime.identity import LENGTH, Identity
from regularizer_collection.runtime.measurements import measurement_differences
from regularizer_collection.runtime.run_record import read_record

_CONTINUED = ("last", "hpc")


class RunFolder(NamedTuple):
    """Folder of a run or of a test, and whether it is the run's own, whose results it may renew."""

    path: Path
    is_own: bool


def folder_to_fit(
    root: Path,
    identity: Identity,
    checkpoint: str | None = None,
    checkpoint_identity: Identity | None = None,
    continues: bool = True,
) -> Path:
    """Chooses the folder of a training: ``<root>/<variant>/seed_<n>``, or ``seed_<n>_run_2``, ...

    Args:
        root: Folder of all runs.
        identity: What the run is.
        checkpoint: Path of the checkpoint to continue from, "last", or None to begin anew.
        checkpoint_identity: What the run is that wrote the checkpoint, where it is a path.
        continues: Whether the run goes on, or is tested.

    Returns:
        The folder, which may not exist yet. It holds this very run or none. Where several do that
        "last" may mean, it is one of the length that is asked for, if there is any; of these one
        that is not finished if the run goes on, and one that is for a test.

    Raises:
        ValueError: If the checkpoint is of another run.
    """
    folders = _existing(root, identity)
    if checkpoint in _CONTINUED:
        started = [folder for folder in folders if has_checkpoint(folder)]
        if fitting := [folder for folder in started if not _obstacles(identity, folder)]:
            return min(fitting, key=lambda folder: _strangeness(identity, folder, continues))
        if started:
            obstacles = "; ".join(_obstacles(identity, started[-1]))
            raise ValueError(
                f"--ckpt_path {checkpoint} continues only the same run, and {started[-1]} holds "
                f"another: {obstacles}; leave --ckpt_path out to begin a run of its own"
            )
    elif checkpoint is not None:
        if checkpoint_identity is None:
            raise ValueError(
                f"{checkpoint} does not tell what run wrote it; to begin with its weights give "
                "--initial_weights in place of --ckpt_path"
            )
        if differences := identity.differences(checkpoint_identity, LENGTH):
            raise ValueError(
                f"--ckpt_path continues only the same run, and {checkpoint} is of another: "
                f"{'; '.join(differences)}; to begin with its weights give --initial_weights"
            )
        # The file, its folder or the root may be a link.
        path = Path(checkpoint)
        own = {path.resolve().parent.parent, path.absolute().parent.parent.resolve()}
        for folder in folders:
            if folder.resolve() in own:
                return folder
    numbered = (_numbered(root, identity, number) for number in count(1))
    return next(f for f in numbered if not f.exists() or _may_begin_in(f, identity))


def refuse_to_shorten(trainer: Mapping[str, Any], checkpoint: Mapping[str, Any]) -> None:
    """Refuses a length that a run is beyond already.

    Args:
        trainer: Arguments of the Trainer.
        checkpoint: Checkpoint of the run.

    Raises:
        ValueError: If more epochs or steps were trained than are asked for.
    """
    loops = checkpoint.get("loops", {}).get("fit_loop", {})
    epochs = loops.get("epoch_progress", {}).get("current", {}).get("processed", 0)
    trained = {"max_epochs": epochs, "max_steps": checkpoint.get("global_step", 0)}
    for key, done in trained.items():
        asked = trainer.get(key)
        if asked is not None and 0 <= asked < done:
            raise ValueError(
                f"trainer.{key} is {asked}, and the run has {done} behind it; a run can be made "
                "longer, not shorter"
            )


def refuse_other_length_of_schedule(identity: Identity, checkpoint: Mapping[str, Any]) -> None:
    """Refuses to continue at another length where the schedule keeps that of the checkpoint.

    Torch restores ``total_steps`` with the rest of a schedule, and ends the training at the step
    beyond. Who gave a number of steps or epochs of their own knows how far it reaches.

    Args:
        identity: What the run is.
        checkpoint: Checkpoint to continue from.

    Raises:
        ValueError: If the schedule was made for the length that the run had.
    """
    steps = [s["total_steps"] for s in checkpoint.get("lr_schedulers", []) if "total_steps" in s]
    given = [
        identity.settings.get(f"model.init_args.lr_scheduler.init_args.{key}")
        for key in ("total_steps", "epochs")
    ]
    if not steps or any(given) or "identity" not in checkpoint:
        return
    no_length = {"trainer.max_time", "trainer.min_epochs", "trainer.min_steps"}
    if differences := identity.differences(Identity.from_dict(checkpoint["identity"]), no_length):
        raise ValueError(
            f"the schedule of the checkpoint is made for {steps[0]} steps, and "
            f"{'; '.join(differences)}; leave --ckpt_path out to train anew at that length"
        )


def has_ended(folder: Path, identity: Identity, checkpoint: Mapping[str, Any]) -> bool:
    """Tells whether a run is over at a checkpoint: it has the length that is asked for, or stopped.

    Args:
        folder: Folder of the run.
        identity: What the run is to be.
        checkpoint: Checkpoint to continue from.
    """
    own, facts = read_record(folder) or (identity, {})
    return (
        facts.get("steps") == checkpoint.get("global_step")
        and facts.get("stopped_by") != "signal"
        and not identity.differences(own)
    )


def part_of_the_test(folder: Path, identity: Identity) -> list[str]:
    """Names the limit with which a run that has results would be tested on a part of the images.

    Args:
        folder: Folder of the run.
        identity: What is asked for.
    """
    key = "trainer.limit_test_batches"
    results = results_file.read_results(folder / results_file.NAME)
    if results is None or key not in identity.evaluation:
        return []
    differences = measurement_differences(
        identity.evaluation, results["identity"].get("evaluation", {})
    )
    return [difference for difference in differences if difference.startswith(key)]


def folder_to_test(
    root: Path,
    identity: Identity,
    checkpoint: Path | None,
    state_dict: Mapping[str, Tensor] | None = None,
) -> RunFolder:
    """Chooses where a test leaves its results.

    A run's own final weights, on its own data and planes, renew the results of the run. Anything
    else has a folder of its own, ``tests/<hash>``, in the run's folder or, where that cannot be
    written to, in the root.

    Args:
        root: Folder of all runs.
        identity: What the command asks for.
        checkpoint: Checkpoint that is tested; None tests weights that nothing trained.
        state_dict: Weights in it.
    """
    home = root / identity.variant
    weights = "untrained"
    if checkpoint is not None and state_dict is not None:
        weights = weights_hash(state_dict)
        run = checkpoint.absolute().parent.parent
        if (record := read_record(run)) is not None and checkpoint.parent.name == "checkpoints":
            home = run
            own, facts = record
            is_final = facts.get("weights_sha256") == weights
            if own.is_migrated:  # which did not write down what its final weights are
                is_final = checkpoint.stem == "last"
            others = identity.differences(own, LENGTH)
            others += measurement_differences(identity.evaluation, own.evaluation)
            if is_final and not others and os.access(run, os.W_OK):
                return RunFolder(run, True)
            if not os.access(run, os.W_OK):  # another's, say
                home = root / identity.variant
    asked = [weights, identity.to_dict()]
    name = hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()[:12]
    return RunFolder(home / "tests" / name, False)


def _existing(root: Path, identity: Identity) -> list[Path]:
    """Lists the folders of a variant and seed by their number; one before may have been removed."""
    named = re.compile(rf"seed_{identity.seed}(?:_run_([0-9]+))?")
    paths = (root / identity.variant).glob("seed_*")
    found = [(int(m[1] or 1), path) for path in paths if (m := named.fullmatch(path.name))]
    return [path for _, path in sorted(found)]


def _numbered(root: Path, identity: Identity, number: int) -> Path:
    name = f"seed_{identity.seed}" if number == 1 else f"seed_{identity.seed}_run_{number}"
    return root / identity.variant / name


def has_checkpoint(folder: Path) -> bool:
    """Tells whether a run's folder holds something to continue from."""
    return any((folder / "checkpoints").glob("*.ckpt"))


def newest_checkpoint(folder: Path) -> Path | None:
    """Returns the checkpoint of a run that most steps went into, or None where there is none.

    Slurm's signal leaves one beside those of :class:`LastCheckpoint`.
    """
    paths = [*(folder / "checkpoints").glob("last*.ckpt"), *folder.glob("hpc_ckpt_*.ckpt")]
    paths = paths or [*(folder / "checkpoints").glob(PREVIOUS)]
    if len(paths) < 2:
        return next(iter(paths), None)
    return max(sorted(paths), key=_steps)


def _steps(checkpoint: Path) -> int:
    """Returns the steps that went into a checkpoint, below 0 where it cannot be read."""
    try:
        return int(SafeCheckpointIO().load_checkpoint(checkpoint).get("global_step", 0))
    except ValueError:
        return -1


def _strangeness(identity: Identity, folder: Path, continues: bool) -> tuple[bool, bool]:
    """Orders folders that may be meant, the likeliest lowest."""
    record = read_record(folder)
    is_of_other_length = record is not None and bool(identity.differences(record[0]))
    is_finished = (folder / results_file.NAME).exists()
    return is_of_other_length, is_finished if continues else not is_finished


def _obstacles(identity: Identity, folder: Path) -> list[str]:
    """Names what keeps a run from being continued in a folder."""
    record = read_record(folder)
    if record is None:
        return ["the folder does not tell what run it holds"]
    return identity.differences(record[0], LENGTH)


def _may_begin_in(folder: Path, identity: Identity) -> bool:
    """Tells whether nothing of another run, and nothing finished, is in a folder."""
    if (folder / results_file.NAME).exists():
        return False
    record = read_record(folder)
    if any(folder.glob("hpc_ckpt_*.ckpt")):  # Slurm starts the same command again
        return record is not None and not identity.differences(record[0])
    if has_checkpoint(folder):
        return False
    return record is None or not identity.differences(record[0])
