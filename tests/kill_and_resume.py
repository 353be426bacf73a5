"""Kills a training at seeded random moments and continues it until it ends.

Run ``python -m tests.kill_and_resume --times 50``: every time the weights, the optimizer, the
schedule and the results must be those of the training that nobody killed, bit for bit. Further
arguments are those of ``cli.py fit``.
"""

import argparse
import json
import multiprocessing
import os
import random
import signal
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch

SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)
OPTIONS = (
    *("--config", "svb.yaml", "--config", "smoke.yaml", "--model.every_n_steps", "3"),
    *("--data.train_size", "100", "--data.test_size", "40", "--data.batch_size", "20"),
    *("--trainer.max_epochs", "3", "--trainer.enable_progress_bar", "false"),
    *("--trainer.enable_model_summary", "false", "--data.augment", "true"),
    *("--robustness.num_images", "2", "--robustness.num_steps", "2"),
    *("--robustness.distance_steps", "2", "--evaluation.zoom_levels", "[0.01]"),
)


def fit(root: str, options: list[str]) -> None:
    """Trains in this process, from the last checkpoint if there is one, silently."""
    from regularizer_collection.__main__ import main

    with Path(os.devnull).open("w") as nowhere:
        os.dup2(nowhere.fileno(), 1)
        os.dup2(nowhere.fileno(), 2)
    # A shell's background jobs ignore Ctrl-C, and so would what they start.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    folder = Path(root) / "svb" / "seed_0"
    resume = ("--ckpt_path", "last") if (folder / "checkpoints" / "last.ckpt").exists() else ()
    sys.exit(main(["fit", *OPTIONS, *options, "--trainer.default_root_dir", root, *resume]))


def outcome(root: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """Returns the last checkpoint and the results."""
    folder = root / "svb" / "seed_0"
    checkpoint = torch.load(folder / "checkpoints" / "last.ckpt", weights_only=True)
    results = json.loads((folder / "results.json").read_text())
    compared = ("state_dict", "optimizer_states", "lr_schedulers", "global_step", "epoch")
    kept = {key: checkpoint[key] for key in compared}
    kept["bounded at"] = {
        name: state for name, state in checkpoint["callbacks"].items() if "Bounding" in name
    }
    del results["facts"]["train_seconds"]
    recorded = ("facts", "test", "measurements", "history")
    return kept, {key: results[key] for key in recorded}


def train(
    context: Any, root: Path, options: list[str], kill: tuple[float | None, int] | None = None
) -> float:
    """Trains in a child, killed after some seconds with some signal; returns its seconds.

    None stands for the moment of the first checkpoint, which another child must continue from.
    """
    last = root / "svb" / "seed_0" / "checkpoints" / "last.ckpt"
    child = context.Process(target=fit, args=(str(root), options))
    started = time.monotonic()
    child.start()
    if kill is not None:
        child.join(kill[0] or 0)
        while kill[0] is None and not last.exists():
            assert child.is_alive(), "the run ended before its first checkpoint"
            child.join(0.01)
        if child.is_alive():
            os.kill(child.pid, kill[1])
    child.join()
    return time.monotonic() - started


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--times", type=int, default=3)
    parser.add_argument("--seed", type=int, default=0)
    options, of_fit = parser.parse_known_args()
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["regularizer_collection.__main__"])
    rng = random.Random(options.seed)
    with tempfile.TemporaryDirectory() as folder:
        whole = Path(folder) / "whole"
        train(context, Path(folder) / "warm-up", of_fit)
        seconds = train(context, whole, of_fit)
        expected, expected_results = outcome(whole)
        for number in range(options.times):
            root = Path(folder) / f"killed_{number}"
            kills = []
            for place in range(rng.randint(1, 3)):
                after = None if place == number % 2 == 0 else rng.uniform(0.1, seconds)
                kills.append((after, rng.choice(SIGNALS)))
                train(context, root, of_fit, kills[-1])
            train(context, root, of_fit)
            found, results = outcome(root)
            torch.testing.assert_close(found, expected, rtol=0, atol=0)
            assert results == expected_results
            told = ", ".join(
                f"{signal.Signals(s).name} "
                + ("at the first checkpoint" if t is None else f"after {t:.2f} s")
                for t, s in kills
            )
            print(f"{number}: the same after {told}", flush=True)


if __name__ == "__main__":
    main()
