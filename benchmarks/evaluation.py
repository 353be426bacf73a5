"""``cli.py test``: time and memory of the evaluation of all planes."""

import resource
import tempfile
from collections.abc import Iterator
from functools import partial

from benchmarks.command import CLI, command
from benchmarks.race import Work, race
from benchmarks.source import Source
from benchmarks.table import Row


def evaluation(source: Source, *planes: str) -> Work:
    """Tests a checkpoint and returns the peak memory of the process in GB."""
    arguments = [
        *(CLI, "test", *source.arguments(), "--ckpt_path", source.checkpoint),
        *planes,
        *("--robustness.num_images", "0"),
        *("--trainer.logger", "false", "--trainer.enable_progress_bar", "false"),
        *("--trainer.default_root_dir", tempfile.mkdtemp()),
    ]
    test = command(*arguments)

    def work() -> float:
        test()
        return resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024 / 1e9

    return work


def rows(source: Source, quick: bool) -> Iterator[Row]:
    """Times and weighs the evaluation of all planes."""
    planes = "25 random planes x 3 zoom levels of 250x250, 200 planes between images, 1000 segments"
    options = []
    if quick:
        planes = "2 random planes x 3 zoom levels of 50x50"
        options = ["num_planes=2", "resolution=50", "plane_sets=[]"]
    factory = partial(evaluation, source, *(f"--evaluation.{option}" for option in options))
    seconds, memory = race({"": factory}, {}, repeats=1, warm_ups=0)[""]
    yield Row(
        f"cli.py test, {planes}",
        seconds / 60,
        unit="min",
        remark=f"peak memory {memory:.2f} GB",
    )
