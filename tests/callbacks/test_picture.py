import numpy as np
import pytest
import torch

from regularizer_collection.callbacks.picture import picture


def test_colours_stay():
    image = torch.rand(4, 5, 3)
    np.testing.assert_array_equal(picture(image), image.numpy())


@pytest.mark.parametrize("channels", [1, 2, 4, 5])
def test_other_channels_are_shown_by_their_mean_in_grey(channels):
    image = torch.randint(0, 256, (4, 5, channels), dtype=torch.uint8)
    shown = picture(image)
    assert shown.dtype == np.uint8
    for colour in range(3):
        np.testing.assert_array_equal(shown[..., colour], image.numpy().mean(2).astype(np.uint8))
