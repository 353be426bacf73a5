"""What a study gets done in an hour: runs side by side, in turn, and as a user's own loop."""

from collections.abc import Iterator
from functools import partial
from itertools import islice

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.data import DataLoader

from benchmarks.epoch import endless, fit
from benchmarks.loaders import TransformedImages
from benchmarks.race import Work, race
from benchmarks.source import Source
from benchmarks.table import Row
from benchmarks.training import BATCH_SIZE, bf16_remark, stock_network
from regularizer_collection.experiments.local_engine import number_of_jobs

STEPS = 7_500  # of 15 epochs of CIFAR-100
LOOP = "loop over torchvision, DataLoader with 2 workers, float32"


def users_loop(source: Source, steps: int) -> Work:
    """Builds some steps of the loop that PyTorch's tutorials write."""
    data = source.data()
    data.setup("fit")
    loader = DataLoader(TransformedImages(data), BATCH_SIZE, shuffle=True, num_workers=2)
    batches = _endlessly(loader)
    network = stock_network()
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1, momentum=0.9)

    def work() -> None:
        for images, labels in islice(batches, steps):
            optimizer.zero_grad()
            F.cross_entropy(network(images), labels).backward()
            optimizer.step()

    return work


def _endlessly(loader: DataLoader[tuple[Tensor, int]]) -> Iterator[tuple[Tensor, Tensor]]:
    while True:
        yield from loader


def rows(source: Source, quick: bool) -> Iterator[Row]:
    """Times stretches of steps, from which the steps of a run follow."""
    turn = 5 if quick else 20
    steps, jobs = endless(source), number_of_jobs(None)
    bf16 = [*steps, "--trainer.precision", "bf16-mixed"]
    side, side_bf16 = f"--jobs {jobs}", f"--jobs {jobs}, bf16-mixed"
    timed = race(
        {
            "--jobs 1": partial(fit, steps, turn),
            "--jobs 1, bf16-mixed": partial(fit, bf16, turn),
            side: partial(fit, steps, turn),
            side_bf16: partial(fit, bf16, turn),
        },
        {LOOP: partial(users_loop, source, turn)},
        repeats=3,
        warm_ups=1,
        jobs={side: jobs, side_bf16: jobs},
    )
    loop = timed.pop(LOOP).seconds / turn * STEPS
    for name, (seconds, _) in timed.items():
        run = seconds / turn * STEPS / (jobs if name in (side, side_bf16) else 1)
        remark = f"{3600 / run:.2f} runs an hour, the loop {3600 / loop:.2f}"
        if name.endswith("bf16-mixed") and (lacking := bf16_remark("cpu")):
            remark += f"; {lacking}"
        yield Row(f"study {name}, a run of {STEPS:,} steps", run, LOOP, loop, remark=remark)
