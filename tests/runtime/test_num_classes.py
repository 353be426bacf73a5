import json
import struct

import numpy as np
import pytest
from jsonargparse import Namespace

from regularizer_collection.runtime.identity import Identity
from regularizer_collection.runtime.launch import config_of
from regularizer_collection.runtime.num_classes import share_num_classes

BACKBONE = "model.init_args.backbone.init_args.num_classes"


def settings(*args):
    config = config_of(["fit", "--config", "no_reg.yaml", *args])
    return Identity.of_config(config).settings


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (("CIFAR100DataModule",), 100),
        (("CIFAR100DataModule", "--data.coarse", "true"), 20),
        (("CIFAR10DataModule",), 10),
    ],
)
def test_model_and_backbone_have_the_classes_of_the_data(data, expected):
    found = settings("--data", *data)
    assert found["model.init_args.num_classes"] == expected
    assert found[BACKBONE] == expected


def test_another_backbone_gets_them_too():
    found = settings("--data", "MNISTDataModule", "--model.backbone", "LeNet")
    assert found["model.init_args.backbone.class_path"] == "backbones.LeNet"
    assert found[BACKBONE] == 10


def test_a_regularizer_that_asks_for_them_gets_them_too():
    def regularizer(**arguments):
        return Namespace(class_path="my.Own", init_args=Namespace(arguments))

    regularizers = [regularizer(num_classes=100), regularizer(num_classes=7), regularizer(rate=100)]
    model = Namespace(init_args=Namespace(num_classes=100, regularizers=regularizers))
    data = Namespace(class_path="datamodules.CIFAR10DataModule", init_args=Namespace())
    share_num_classes(Namespace(model=model, data=data))
    found = [of.init_args.as_dict() for of in regularizers]
    assert found == [{"num_classes": 10}, {"num_classes": 7}, {"rate": 100}]


def test_a_number_that_was_chosen_stands():
    found = settings("--data", "CIFAR10DataModule", "--model.num_classes", "12")
    assert found["model.init_args.num_classes"] == 12


def test_without_data_nothing_changes():
    config = Namespace(model=Namespace(init_args=Namespace(num_classes=100)))
    share_num_classes(config)
    assert config.model.init_args.num_classes == 100


def test_lenet_trains_on_grey_images_from_the_command_line(tmp_path, monkeypatch):
    from regularizer_collection.__main__ import main

    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "FashionMNIST" / "raw"
    folder.mkdir(parents=True)
    for name, size in (("train", 60), ("t10k", 30)):
        for kind, shape in (("images-idx3", (size, 28, 28)), ("labels-idx1", (size,))):
            values = np.random.default_rng(size).integers(0, 10, shape, dtype=np.uint8)
            head = struct.pack(">HBB", 0, 8, len(shape)) + struct.pack(f">{len(shape)}I", *shape)
            (folder / f"{name}-{kind}-ubyte").write_bytes(head + values.tobytes())
    args = ["--data", "FashionMNISTDataModule", "--data.data_dir", str(tmp_path)]
    args += ["--data.val_size", "0.25", "--model.backbone", "LeNet", "--trainer.max_epochs", "1"]
    args += ["--evaluation.num_planes", "1", "--evaluation.resolution", "10"]
    assert main(["fit", "--config", "jacobi.yaml", *args]) == 0
    results = json.loads((tmp_path / "runs/jacobi/seed_0/results.json").read_text())
    assert 0 <= results["test"]["accuracy"] <= 1
    assert results["facts"]["data"]["num_classes"] == 10
