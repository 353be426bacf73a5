"""A whole epoch of ``cli.py fit`` against the bare loop of its steps."""

import tempfile
from collections.abc import Iterator
from functools import partial

from benchmarks.race import Work, race
from benchmarks.source import Source
from benchmarks.table import Row
from benchmarks.training import training_step
from benchmarks.turns import fit_in_turns
from regularizer_collection.backbones import ResNet18

STEPS = 500  # of an epoch of CIFAR-100


def fit(arguments: list[str], steps: int) -> Work:
    """Trains into a temporary folder, some steps in each turn."""
    folder = tempfile.mkdtemp()
    quiet = ("--trainer.enable_model_summary", "false", "--trainer.default_root_dir", folder)
    return fit_in_turns([*arguments, *quiet], steps)


def endless(source: Source) -> list[str]:
    """Returns the arguments of a training that only a benchmark ends."""
    return [*source.arguments(), "--trainer.max_epochs", "100", "--trainer.limit_val_batches", "0"]


def rows(source: Source, quick: bool) -> Iterator[Row]:
    """Times stretches of steps, and the end of an epoch."""
    turn = 5 if quick else 20  # four of them, and the steps before, fit into an epoch
    steps = endless(source)
    loading = "LoadingShapes100" if source.data_dir is None else "LoadingCIFAR100"
    ends = [
        *source.arguments(),
        *("--trainer.max_epochs", "100", "--trainer.limit_train_batches", "1"),
    ]
    timed = race(
        {
            "fit": partial(fit, steps, turn),
            "loading": partial(fit, [*steps, f"--data=benchmarks.loaders.{loading}"], turn),
            "bare": partial(training_step, ResNet18, steps=turn),
        },
        {},
        repeats=3,
        warm_ups=1,
    )
    end = race({"end": partial(fit, ends, 1)}, {}, repeats=1, warm_ups=1)["end"]
    step = timed["bare"].seconds / turn
    per_step = timed["fit"].seconds / turn
    work = f"{STEPS} steps of cli.py fit"
    bare, loader = STEPS * step, STEPS * timed["loading"].seconds / turn
    remark = f"overhead {100 * (per_step / step - 1):.1f} %, from turns of {turn} steps"
    yield Row(work, STEPS * per_step, "bare loop of the same steps", bare, remark=remark)
    yield Row(work, STEPS * per_step, "the same with transforms, DataLoader, 2 workers", loader)
    work = (
        f"epoch's end: {source.num_test_images:,} test images, Jacobian norm, spectra, checkpoint"
    )
    remark = f"{100 * (end.seconds - step) / (STEPS * step):.1f} % of the steps' time"
    yield Row(work, end.seconds - step, remark=remark)
