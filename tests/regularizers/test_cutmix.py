import pytest
import torch

from regularizer_collection.regularizers import CutMix, Step
from tests.regularizers.conftest import batch


def labelled_images(size=10):
    """Images whose every pixel is their label."""
    labels = torch.arange(size)
    return labels.float().view(-1, 1, 1, 1).expand(size, 3, 9, 9).clone(), labels


def test_targets_are_the_shares_of_the_pixels():
    images, labels = labelled_images()
    for index in range(30):
        mixed, targets = CutMix(1.0, 1.0).transform(images, labels, Step(None, 10, index=index))
        own = (mixed == images).float().mean((1, 2, 3))
        torch.testing.assert_close(targets[labels, labels], own)
        torch.testing.assert_close(targets[labels, labels.roll(1)], 1 - own)


def test_it_acts_in_the_share_of_steps_that_is_asked_for():
    images, labels = labelled_images(4)
    acted = sum(
        CutMix(1.0, 0.3).transform(images, labels, Step(None, 10, index=index))[1] is not labels
        for index in range(600)
    )
    assert acted / 600 == pytest.approx(0.3, abs=4 * (0.3 * 0.7 / 600) ** 0.5)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((-1,), "alpha is -1; give 0 or more"),
        ((1, 1.5), "probability is 1.5; give a number from 0 to 1"),
    ],
)
def test_refuses_wrong_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        CutMix(*arguments)


def test_refuses_a_single_class():
    with pytest.raises(ValueError, match="num_classes is 1; CutMix needs 2 or more"):
        CutMix(1.0, 1.0).transform(*batch(), Step(None, 1))
