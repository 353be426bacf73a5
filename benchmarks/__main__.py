"""Prints one table of what things take here, a peer, and at the least; run ``make bench``."""

import argparse
import json
import os
import platform
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import asdict
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from benchmarks import (
    bounding,
    epoch,
    evaluation,
    growth,
    planes,
    regularizers,
    study,
    training,
)
from benchmarks.race import race
from benchmarks.source import Source
from benchmarks.table import Row, header, line, markdown
from regularizer_collection.experiments.marked_part import rewrite_part

RUN = "no_reg/seed_0/checkpoints/last.ckpt"
PACKAGES = ("torch", "torchvision", "pytorch-lightning")


def processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.processor())


def head() -> dict[str, str]:
    """Command, date, machine and versions."""
    cuda = f", {torch.cuda.get_device_name()}" if torch.cuda.is_available() else ""
    return {
        "command": " ".join(["python -m benchmarks", *sys.argv[1:]]),
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),
        "machine": f"{processor()}, {torch.get_num_threads()} threads{cuda}",
        "versions": ", ".join(f"{name} {version(name)}" for name in PACKAGES),
    }


def all_rows(source: Source, quick: bool) -> Iterator[Row]:
    for device in ("cpu", "cuda") if torch.cuda.is_available() else ("cpu",):
        yield from training.rows(device, quick)
        yield from bounding.rows(device, quick)
    yield from regularizers.rows(quick)
    yield from epoch.rows(source, quick)
    yield from study.rows(source, quick)
    yield from planes.rows(source, quick)
    yield from evaluation.rows(source, quick)
    yield from growth.rows(quick)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--checkpoint", help="of a no_reg run; one is trained where none is given")
    parser.add_argument("--data_dir", help="folder of CIFAR-100; built-in images without it")
    parser.add_argument("--json", default="bench.json", help="where a copy goes")
    parser.add_argument("--readme", help="file whose part between the bench markers is replaced")
    parser.add_argument("--quick", action="store_true", help="fewer repeats, sizes and rows")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        os.environ["TMPDIR"] = folder  # of all works, so that nothing of theirs stays
        num_images = 2_500 if options.quick else 10_000
        source = Source(options.checkpoint or f"{folder}/{RUN}", options.data_dir, num_images)
        if options.checkpoint is None:
            race({"training": source.training}, {}, repeats=1, warm_ups=0)
        about = head()
        print(*about.values(), "", *header(), sep="\n")
        rows: list[dict[str, Any]] = []
        document = about | {"rows": rows}
        for row in all_rows(source, options.quick):
            rows.append(asdict(row))
            print(line(row.cells()), flush=True)
            Path(options.json).write_text(json.dumps(document, indent=1) + "\n")
    if options.readme is not None:
        readme = Path(options.readme)
        rewrite_part(readme, "bench", markdown(document))


if __name__ == "__main__":
    main()
