"""What grows with what: batch size, runs of a study, results of a report; and the start-up."""

import json
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from benchmarks.command import CLI, command
from benchmarks.race import Work, race
from benchmarks.table import Row
from benchmarks.training import training_step
from regularizer_collection.backbones import ResNet18
from regularizer_collection.experiments.report import write_report
from regularizer_collection.experiments.run import PROJECT
from regularizer_collection.experiments.source_experiment import VARIANTS

RESULT = "results/stable_15_epochs/no_reg/seed_0/results.json"
IMPORTS = "import torch, pytorch_lightning, torchvision"
SMOKE = ("--config", "no_reg.yaml", "--config", "smoke.yaml")


def smoke_fit() -> Work:
    """One run of seconds."""
    root = ("--trainer.default_root_dir", tempfile.mkdtemp())
    return command(CLI, "fit", *SMOKE, *root)


def smoke_study() -> Work:
    """The same run as a study."""
    root = ("--root", tempfile.mkdtemp())
    run = ("--variants", "no_reg", "--seeds", "0", "--overlay", "smoke.yaml")
    return command(CLI, "study", *run, *root)


def report(num_files: int) -> Work:
    """Copies a real result as if it were that of many seeds, and reports over the copies."""
    folder = Path(tempfile.mkdtemp())
    result = json.loads((PROJECT / RESULT).read_text())
    for number in range(num_files):
        variant, seed = VARIANTS[number % len(VARIANTS)], number // len(VARIANTS)
        path = folder / variant / f"seed_{seed}" / "results.json"
        path.parent.mkdir(parents=True)
        path.write_text(json.dumps(result | {"variant": variant, "seed": seed}))
    return lambda: write_report(str(folder), str(folder / "report"))


def rows(quick: bool) -> Iterator[Row]:
    """Times each at growing sizes."""
    sizes = (25, 400) if quick else (25, 50, 100, 200, 400, 800)
    steps = {str(size): partial(training_step, ResNet18, batch_size=size) for size in sizes}
    timed = race(steps, {}, repeats=3)
    for size in sizes:
        seconds = timed[str(size)].seconds
        remark = f"{1e3 * seconds / size:.2f} ms an image"
        yield Row(f"training step, batch {size}", seconds, remark=remark)

    if quick:
        return

    for num_files in (25, 250, 2500):
        timed = race({"": partial(report, num_files)}, {}, repeats=1, warm_ups=0)
        yield Row(f"report over {num_files} results", timed[""].seconds)

    timed = race({}, {"study": smoke_study, "fit": smoke_fit}, repeats=1, warm_ups=0)
    yield Row(
        "study of one run (smoke.yaml)",
        timed["study"].seconds,
        "cli.py fit",
        timed["fit"].seconds,
        remark=f"{timed['study'].seconds - timed['fit'].seconds:.1f} s of overhead",
    )

    help_and_imports = {
        "help": partial(command, CLI, "--help"),
        "imports": partial(command, "-c", IMPORTS),
    }
    timed = race({}, help_and_imports, repeats=1, warm_ups=1)
    yield Row("cli.py --help", timed["help"].seconds, IMPORTS, timed["imports"].seconds)
