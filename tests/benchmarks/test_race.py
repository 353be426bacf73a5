import os
import time
from functools import partial

import pytest
import torch

from benchmarks.race import race


def sleeping(seconds):
    return partial(time.sleep, seconds)


def failing():
    def work():
        raise ValueError("no such thing")

    return work


def counting():
    turns = []

    def work():
        turns.append(1)
        return len(turns)

    return work


def test_times_each_work_and_keeps_what_it_returned_last():
    ours = {"count": counting, "short": partial(sleeping, 0.05)}
    timed = race(ours, {"long": partial(sleeping, 0.2)}, repeats=3, warm_ups=2)
    assert timed["count"].value == 5
    assert timed["short"].seconds >= 0.05
    assert timed["long"].seconds >= 0.2


def counting_threads():
    return torch.get_num_threads


def noting(folder):
    """Leaves a file for each process that tells when it began and ended."""

    def note():
        began = time.time()
        time.sleep(1)
        (folder / str(os.getpid())).write_text(f"{began} {time.time()}")

    return note


def test_processes_side_by_side_work_at_once_and_share_the_threads(tmp_path):
    ours = {"note": partial(noting, tmp_path), "threads": counting_threads}
    timed = race(ours, {}, repeats=1, warm_ups=0, jobs={"note": 2, "threads": 2})
    (began, ended), (other_began, other_ended) = (
        map(float, path.read_text().split()) for path in tmp_path.iterdir()
    )
    assert max(began, other_began) < min(ended, other_ended)
    assert timed["note"].seconds >= 1
    assert timed["threads"].value == max(1, torch.get_num_threads() // 2)


def test_a_work_that_fails_ends_the_race():
    with pytest.raises(RuntimeError, match="a benchmarked work failed"):
        race({"failing": failing}, {}, repeats=1)
