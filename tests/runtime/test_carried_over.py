import pytest
from jsonargparse import Namespace

from regularizer_collection.runtime.carried_over import carried_over


def config(optimizer="torch.optim.SGD", data="CIFAR10DataModule", **arguments):
    datamodule = f"regularizer_collection.datamodules.{data}"
    return Namespace(
        model=Namespace(
            class_path="regularizer_collection.lightning_modules.NoRegClassifier",
            init_args=Namespace(
                num_classes=100,
                optimizer=Namespace(class_path=optimizer, init_args=Namespace(**arguments)),
            ),
        ),
        data=Namespace(class_path=datamodule, init_args=Namespace(batch_size=100, seed=3)),
    )


SGD = {"lr": 0.1, "weight_decay": 0.0, "momentum": 0.9}
ADAMW = "torch.optim.AdamW"


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        (
            {"lr": 0.1, "weight_decay": 0.0},
            "lr 0.1 (its own 0.001), weight_decay 0.0 (its own 0.01)",
        ),
        ({"lr": 0.01, "weight_decay": 0.0}, "weight_decay 0.0 (its own 0.01)"),
    ],
)
def test_what_another_optimizer_keeps_of_the_default_is_told(given, kept):
    (sentence,) = carried_over(config(ADAMW, **given), config(**SGD))
    option = kept.split()[0]
    assert sentence == (
        f"AdamW has, as SGD does by default, {kept}; give --optimizer.{option} for another"
    )


def test_nothing_is_told_of_the_default_class_of_values_that_were_given_and_of_shared_ones():
    defaults = config(**SGD)
    assert carried_over(config(**SGD | {"lr": 0.3}), defaults) == []
    assert carried_over(config(ADAMW, lr=0.3, weight_decay=0.1), defaults) == []
    assert carried_over(config(data="MNISTDataModule", **SGD), defaults) == []
