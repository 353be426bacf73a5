import inspect
import json
from functools import partial
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from pytorch_lightning import Trainer
from torch import nn

from regularizer_collection.runtime.identity import (
    TRAINER_KEYS_THAT_COUNT,
    TRAINER_KEYS_THAT_DO_NOT_COUNT,
    Identity,
)

CONFIG = {
    "variant": "svb",
    "seed_everything": 3,
    "trainer": {
        "max_epochs": 7,
        "default_root_dir": "runs",
        "precision": None,
        "callbacks": None,
        "gradient_clip_val": None,
        "gradient_clip_algorithm": None,
        "limit_train_batches": None,
        "val_check_interval": None,
        "overfit_batches": 0.0,
    },
    "model": {"class_path": "SVBClassifier", "init_args": {"eps": 0.05, "seed": 3}},
    "data": {"class_path": "datamodules.Shapes", "init_args": {"batch_size": 100, "seed": 3}},
    "evaluation": {"num_planes": 25},
}


def identity(section=None, value=None, **facts):
    config = CONFIG | ({section: CONFIG[section] | value} if section else {})
    return Identity.of_config(config, **facts)


def test_files_of_a_users_own_are_compared_where_both_versions_hashed_them():
    ours, theirs, older = (
        Identity.of_config(CONFIG | own)
        for own in ({"own_code": {"losses": "ab"}}, {"own_code": {"losses": "cd"}}, {})
    )
    assert ours.differences(theirs) == ["own_code.losses is ab here and cd there"]
    assert ours.fingerprint != theirs.fingerprint
    assert ours.differences(older) == older.differences(ours) == []


def test_every_argument_of_the_trainer_is_decided_on():
    arguments = set(inspect.signature(Trainer).parameters)
    assert arguments == TRAINER_KEYS_THAT_COUNT | TRAINER_KEYS_THAT_DO_NOT_COUNT
    assert not TRAINER_KEYS_THAT_COUNT & TRAINER_KEYS_THAT_DO_NOT_COUNT


@pytest.mark.parametrize(
    ("section", "value"),
    [
        ("trainer", {"default_root_dir": "elsewhere"}),
        ("trainer", {"accelerator": "cpu"}),
        ("trainer", {"devices": 4}),
        ("trainer", {"enable_model_summary": True}),
        ("trainer", {"precision": "32-true"}),
        ("trainer", {"precision": 32}),
        ("trainer", {"gradient_clip_val": 0}),
        ("trainer", {"gradient_clip_val": -1.0}),
        ("trainer", {"gradient_clip_algorithm": "value"}),
        ("trainer", {"limit_train_batches": 1.0}),
        ("trainer", {"val_check_interval": 1.0}),
        ("trainer", {"overfit_batches": 0}),
        ("trainer", {"callbacks": [{"class_path": "LearningRateMonitor"}]}),
        ("trainer", {"callbacks": {"class_path": "pytorch_lightning.callbacks.ModelCheckpoint"}}),
        ("trainer", {"plugins": []}),
        ("trainer", {"plugins": {"class_path": "pytorch_lightning.plugins.TorchCheckpointIO"}}),
        (
            "trainer",
            {
                "plugins": [
                    {"class_path": "lightning_fabric.plugins.environments.SLURMEnvironment"},
                    {"class_path": "pytorch_lightning.plugins.AsyncCheckpointIO"},
                ]
            },
        ),
        ("trainer", {"strategy": "ddp"}),
        (
            "trainer",
            {
                "strategy": {
                    "class_path": "pytorch_lightning.strategies.DDPStrategy",
                    "init_args": {"timeout": 7, "ddp_comm_hook": None},
                }
            },
        ),
        ("data", {"init_args": {"batch_size": 100, "seed": 3, "data_dir": "x", "verify": False}}),
        ("evaluation", {"num_planes": 5}),
    ],
)
def test_what_changes_no_number_of_the_training_is_the_same_run(section, value):
    assert identity(section, value).differences(identity()) == []
    assert identity(section, value).fingerprint == identity().fingerprint


@pytest.mark.parametrize(
    ("here", "there"),
    [
        ({"gradient_clip_val": 1}, {"gradient_clip_val": 1.0}),
        ({"gradient_clip_val": 1.0, "gradient_clip_algorithm": "norm"}, {"gradient_clip_val": 1.0}),
        ({"precision": "bf16"}, {"precision": "bf16-mixed"}),
        ({"precision": 16}, {"precision": "16-mixed"}),
        ({"precision": "64"}, {"precision": "64-true"}),
    ],
)
def test_two_spellings_of_one_value_are_the_same_run(here, there):
    ours, theirs = identity("trainer", here), identity("trainer", there)
    assert ours.differences(theirs) == []
    assert ours.fingerprint == theirs.fingerprint
    assert ours.protocol == theirs.protocol


def test_an_older_record_is_of_the_same_run_however_it_was_spelled():
    older = identity("trainer", {"precision": "bf16-mixed"}).to_dict()
    older["settings"] |= {"trainer.precision": "bf16", "trainer.gradient_clip_val": 0}
    asked = identity("trainer", {"precision": "bf16"})
    assert asked.differences(Identity.from_dict(older)) == []


@pytest.mark.parametrize("key", ["limit_train_batches", "overfit_batches"])
def test_one_batch_is_not_all_of_them(key):
    one, all_of_them = identity("trainer", {key: 1}), identity("trainer", {key: 1.0})
    assert len(one.differences(all_of_them)) == 1
    assert one.fingerprint != all_of_them.fingerprint


@pytest.mark.parametrize(
    ("section", "value", "difference"),
    [
        ("trainer", {"max_epochs": 8}, "trainer.max_epochs is 8 here and 7 there"),
        ("trainer", {"precision": "bf16-mixed"}, "trainer.precision is bf16-mixed here and 32-tr"),
        ("model", {"class_path": "L2Classifier"}, "model.class_path is L2Classifier here and SVB"),
        ("model", {"init_args": {"eps": 0.1}}, "model.init_args.eps is 0.1 here and 0.05 there"),
        ("data", {"init_args": {"batch_size": 50}}, "data.init_args.batch_size is 50 here and 100"),
        (
            "trainer",
            {"callbacks": [{"class_path": "callbacks.SingularValueBounding"}]},
            "trainer.callbacks.0.class_path is callbacks.SingularValueBounding here and None there",
        ),
        (
            "trainer",
            {"plugins": {"class_path": "pytorch_lightning.plugins.DoublePrecision"}},
            "trainer.plugins.0.class_path is pytorch_lightning.plugins.DoublePrecision here and No",
        ),
        (
            "trainer",
            {
                "strategy": {
                    "class_path": "pytorch_lightning.strategies.DDPStrategy",
                    "init_args": {"timeout": 7, "model_averaging_period": 4},
                }
            },
            "trainer.strategy.model_averaging_period is 4 here and None there",
        ),
    ],
)
def test_what_can_change_one_is_another_run_and_is_named(section, value, difference):
    (found,) = identity(section, value).differences(identity())
    assert found.startswith(difference)
    assert identity(section, value).fingerprint != identity().fingerprint


def test_seeds_share_a_fingerprint_and_are_different_runs():
    other = Identity.of_config(CONFIG | {"seed_everything": 4})
    assert other.fingerprint == identity().fingerprint
    assert other.differences(identity()) == ["seed is 4 here and 3 there"]


def test_other_data_is_another_run_where_both_are_known():
    ours, theirs = identity(data={"train": "a", "test": "b"}), identity(data={"test": "c"})
    assert ours.differences(theirs) == ["data, test split is b here and c there"]
    assert identity().differences(theirs) == []


def test_a_class_is_the_same_by_all_its_names():
    for name in ("regularizer_collection.lightning_modules.X", "lightning_modules.X"):
        assert identity("model", {"class_path": name}).settings["model.class_path"] == (
            "lightning_modules.X"
        )


def test_what_an_older_version_knew_is_compared_and_no_more():
    old = Identity("svb", 3, {"trainer.max_epochs": 7}, is_migrated=True)
    assert identity().differences(old) == []
    assert identity("trainer", {"max_epochs": 8}).differences(old) == [
        "trainer.max_epochs is 8 here and 7 there"
    ]


def test_it_survives_being_written():
    ours = identity(data={"test": "b"}, commit="abc+")
    assert Identity.from_dict(ours.to_dict()).differences(ours) == []
    assert Identity.from_dict(ours.to_dict()).fingerprint == ours.fingerprint


@pytest.mark.parametrize(
    ("trainer", "protocol"),
    [
        ({}, "source"),
        ({"gradient_clip_val": 1.0}, "stable"),
        ({"gradient_clip_val": 1.0, "gradient_clip_algorithm": "value"}, "clipped by value 1.0"),
        ({"gradient_clip_val": 2.0}, "clipped by norm 2.0"),
        ({"gradient_clip_val": 0.0}, "source"),
        ({"gradient_clip_val": -1}, "source"),
        ({"gradient_clip_val": 1}, "stable"),
    ],
)
def test_the_protocol_is_how_gradients_are_clipped(trainer, protocol):
    assert identity("trainer", trainer).protocol == protocol


DATA = "datamodules.CIFAR100DataModule"


def test_an_argument_that_an_older_version_did_not_have_stands_there_with_its_default():
    old = identity("data", {"class_path": DATA, "init_args": {"batch_size": 100}})
    new, other = (
        identity("data", {"class_path": DATA, "init_args": {"batch_size": 100, "coarse": coarse}})
        for coarse in (False, True)
    )
    assert new.differences(old) == old.differences(new) == []
    assert other.differences(old) == ["data.init_args.coarse is True here and None there"]
    assert old.differences(other) == ["data.init_args.coarse is None here and True there"]


def test_an_argument_whose_default_changed_what_is_done_is_another_run():
    old, new = (
        identity("model", {"class_path": "lightning_modules.SVBClassifier", "init_args": arguments})
        for arguments in ({"eps": 0.05}, {"eps": 0.05, "bound_at_start": True})
    )
    assert new.differences(old) == ["model.init_args.bound_at_start is True here and None there"]


def test_a_class_that_moved_to_another_folder_is_the_same():
    paths = ("lightning_modules.ResNet18", "backbones.ResNet18", "backbones.LeNet", "x.LeNet")
    before, now, other, foreign = (identity("model", {"class_path": path}) for path in paths)
    assert now.differences(before) == []
    assert len(other.differences(now)) == 1
    assert len(foreign.differences(other)) == 1


def test_objects_in_a_config_are_the_same_when_they_are_read_again():
    objects = {"device": torch.device("cpu"), "norm": partial(nn.LayerNorm, eps=1e-6)}
    objects |= {"table": Path("t.txt"), "decay": F.relu, "sizes": ((1, 2), (3, 4))}
    init_args = CONFIG["model"]["init_args"] | objects
    ours = identity("model", {"init_args": init_args})
    read = Identity.from_dict(json.loads(json.dumps(ours.to_dict())))
    assert ours.differences(read) == read.differences(ours) == []
    assert ours.fingerprint == read.fingerprint
    assert ours.settings["model.init_args.decay"] == "torch.nn.functional.relu"
    other = identity("model", {"init_args": init_args | {"norm": partial(nn.LayerNorm, eps=1e-5)}})
    assert ours.differences(other) == [
        "model.init_args.norm.keywords.eps is 1e-06 here and 1e-05 there"
    ]
