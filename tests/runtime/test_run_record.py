from importlib.metadata import version

import pytest
import torch
from torch import nn

from regularizer_collection.lightning_modules import NoRegClassifier
from regularizer_collection.runtime import run_record
from regularizer_collection.runtime.identity import Identity
from regularizer_collection.runtime.run_record import RunRecord


@pytest.fixture
def train(tiny_data, make_trainer, tmp_path):
    """Trains with the code of some commit and returns the facts and a checkpoint of the end."""

    def train(commit, max_epochs, checkpoint=None):
        record = RunRecord(tmp_path / commit, Identity("no_reg", 0, {}, commit=commit), "")
        model = NoRegClassifier(
            nn.Sequential(nn.Flatten(), nn.Linear(3072, 100)),
            optimizer=lambda params: torch.optim.SGD(params, lr=0.125, momentum=0.5),
        )
        trainer = make_trainer(max_epochs=max_epochs, callbacks=[record])
        trainer.fit(model, tiny_data, ckpt_path=checkpoint, weights_only=False)
        last = tmp_path / f"{commit}.ckpt"
        trainer.save_checkpoint(last)
        return record.facts, last

    return train


def test_a_run_that_was_killed_after_its_last_checkpoint_has_all_facts_of_the_training(train):
    whole, last = train("aaa", 2)
    continued, _ = train("bbb", 2, last)
    assert continued["optimizer"]["momentum"] == 0.5
    assert continued["train_seconds"] >= whole["train_seconds"]
    assert continued | {"train_seconds": 0} == whole | {"train_seconds": 0}


def test_a_run_that_was_continued_elsewhere_names_what_was_there_and_here(train, monkeypatch):
    _, last = train("aaa", 1)
    monkeypatch.setattr(run_record, "version", lambda name: "9.9" if name == "numpy" else "1.0")
    checkpoint = torch.load(last)
    checkpoint["callbacks"]["RunRecord"]["course"]["world_size"] = [4]
    torch.save(checkpoint, last)
    facts, _ = train("aaa", 2, last)
    assert facts["versions"]["numpy"] == f"{version('numpy')}; 9.9"
    assert facts["versions"]["torch"] == f"{version('torch')}; 1.0"
    assert facts["world_size"] == [4, 1]
    assert (facts["precision"], facts["float32_products"]) == ("32-true", {})


def test_a_run_that_was_continued_by_other_code_names_both_commits(train):
    _, last = train("aaa", 1)
    facts, last = train("bbb", 2, last)
    assert facts["commit"] == "aaa; bbb"
    assert facts["planned_epochs"] == [1, 2]
    facts, _ = train("ccc", 3, last)
    assert facts["commit"] == "aaa; bbb; ccc"


def test_all_groups_of_an_optimizer_are_told_where_they_differ(tiny_data, make_trainer, tmp_path):
    def two_rates(params):
        first, *rest = params
        return torch.optim.SGD([{"params": [first], "lr": 0.25}, {"params": rest}], lr=0.125)

    record = RunRecord(tmp_path, Identity("no_reg", 0, {}, commit="aaa"), "")
    model = NoRegClassifier(
        nn.Sequential(nn.Flatten(), nn.Linear(3072, 100)),
        optimizer=two_rates,
        lr_scheduler=lambda optimizer: torch.optim.lr_scheduler.ConstantLR(optimizer, 1.0),
    )
    make_trainer(max_epochs=1, callbacks=[record]).fit(model, tiny_data)
    assert record.facts["optimizer"]["lr"] == [0.25, 0.125]
    assert record.facts["optimizer"]["momentum"] == 0
