import pytest
import torch

from regularizer_collection.datamodules import Shapes100DataModule


def test_splits_differ_and_the_runs_seed_does_not_change_them():
    first, second = Shapes100DataModule(60, 60, seed=0), Shapes100DataModule(60, 60, seed=1)
    first.setup("fit")
    second.setup("fit")
    assert torch.equal(first.images_and_labels("train")[0], second.images_and_labels("train")[0])
    assert not torch.equal(first.images_and_labels("train")[0], first.images_and_labels("test")[0])


def test_normalised_channels_have_about_mean_0_and_deviation_1():
    data = Shapes100DataModule(5000, 100)
    data.setup("fit")
    pixels = data.normalize(data.images_and_labels("train")[0])
    assert pixels.mean((0, 2, 3)).abs().max() < 0.05
    assert (pixels.std((0, 2, 3)) - 1).abs().max() < 0.05


def test_refuses_an_empty_split():
    with pytest.raises(ValueError, match="test_size 0; give 1 or more each"):
        Shapes100DataModule(test_size=0)
