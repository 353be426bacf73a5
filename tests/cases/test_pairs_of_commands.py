"""Whatever two commands meet in one folder, a record is what ran and nothing is overwritten."""

import json
from contextlib import chdir
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
import torch
import yaml
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from regularizer_collection.__main__ import main
from regularizer_collection.functional.weights import weights_hash
from regularizer_collection.runtime.identity import LENGTH, Identity
from regularizer_collection.runtime.launch import config_of
from tests.cases.conftest import TINY, snapshot

pytestmark = pytest.mark.usefixtures("preloaded")
LAST = "runs/no_reg/seed_0/checkpoints/last.ckpt"
OPTIONS = st.sampled_from(
    [
        (),
        ("--trainer.max_epochs", "2"),
        ("--seed_everything", "1"),
        ("--optimizer.lr", "0.05"),
        ("--model.regularizers+", "LabelSmoothing"),
        ("--data.val_size", "0.1"),
        ("--data.batch_size", "50"),
        ("--evaluation.resolution", "9"),
        ("--robustness.num_images", "0"),
        ("--trainer.gradient_clip_val", "1.0"),
        ("--trainer.log_every_n_steps", "7"),
        ("--trainer.limit_test_batches", "1"),
    ]
)
COMMANDS = st.one_of(
    st.tuples(st.just("fit"), OPTIONS, st.sampled_from([(), ("--ckpt_path", "last")])),
    st.tuples(st.just("fit"), OPTIONS, st.just(("--ckpt_path", LAST))),
    st.tuples(st.just("test"), OPTIONS, st.just(("--ckpt_path", LAST))),
    st.tuples(st.just("study"), OPTIONS, st.just(())),
)


def arguments(command):
    name, options, checkpoint = command
    if name == "study":
        settings = ("--variants", "no_reg", "--seeds", "0", "--jobs", "1", "--root", "runs")
        return ["study", *settings, "--overlay", "tiny.yaml", *options, "--allow_imports", "tests"]
    configs = ("--config", "no_reg.yaml", "--config", "tiny.yaml", "--variant", "no_reg")
    return [name, *configs, *options, *checkpoint, "--allow_imports", "tests"]


def finished():
    """Returns what each finished run is, by its folder, once its records agree with each other."""
    found = {}
    for path in Path("runs").rglob("results.json"):
        results = json.loads(path.read_text())
        record = json.loads((path.parent / "run.json").read_text())
        checkpoint = torch.load(path.parent / "checkpoints/last.ckpt", weights_only=True)
        assert results["facts"] == record["facts"]
        assert record["facts"]["steps"] == checkpoint["global_step"]
        assert record["facts"]["weights_sha256"] == weights_hash(checkpoint["state_dict"])
        for written in (results, checkpoint):
            assert written["identity"]["settings"] == record["identity"]["settings"]
        found[path.parent] = Identity.from_dict(record["identity"])
    return found


def files_of(run):
    return {path: h for path, h in snapshot(run).items() if "tests" not in path.parts}


@settings(deadline=None, max_examples=10, derandomize=True, phases=[Phase.generate])
@given(first=COMMANDS, second=COMMANDS)
def test_after_any_two_commands_records_are_true_and_no_other_run_was_touched(first, second):
    with TemporaryDirectory() as folder, chdir(folder):
        quick = TINY | {"trainer": TINY["trainer"] | {"max_epochs": 1}}
        Path("tiny.yaml").write_text(yaml.safe_dump(quick))
        for command in (("fit", (), ()), first, second):
            before = finished() if Path("runs").exists() else {}
            files = {run: files_of(run) for run in before}
            assert main(arguments(command)) in (0, 2)
            after = finished()
            assert before.keys() <= after.keys()
            for run, identity in before.items():
                if files_of(run) != files[run]:
                    assert after[run].differences(identity, LENGTH) == []
                    asked = asked_for(command)
                    assert asked.differences(after[run], LENGTH) == []


def asked_for(command):
    """Returns what a command line asks for, as if it were that of ``fit``."""
    _, options, _ = command
    return Identity.of_config(config_of(arguments(("fit", options, ()))))
