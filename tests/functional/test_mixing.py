import numpy as np
import pytest
import scipy.stats
import torch
from torchvision.transforms import v2

from regularizer_collection.functional.mixing import Box, draw_box, draw_mixing_ratio, mix, paste


def generator(seed):
    return torch.Generator().manual_seed(seed)


def test_shares_follow_the_beta_distribution():
    shares = [draw_mixing_ratio(0.4, generator(seed)) for seed in range(2000)]
    assert scipy.stats.kstest(shares, scipy.stats.beta(0.4, 0.4).cdf).pvalue > 0.01


def test_mixing_equals_torchvisions_for_the_same_share():
    images, labels = torch.rand(6, 3, 8, 8), torch.arange(6) % 4
    mixup = v2.MixUp(num_classes=4)
    mixup.make_params = lambda _: {"lam": 0.3}
    expected_images, expected_targets = mixup(images, labels)
    torch.testing.assert_close(mix(images, 0.3), expected_images)
    one_hot = torch.nn.functional.one_hot(labels, 4).float()
    torch.testing.assert_close(mix(one_hot, 0.3), expected_targets)


def test_a_share_of_one_leaves_every_bit():
    images = torch.rand(6, 3, 8, 8)
    assert torch.equal(mix(images, 1.0), images)


def test_pasting_equals_torchvisions_for_the_same_box():
    images, labels = torch.rand(6, 3, 8, 8), torch.arange(6) % 4
    cutmix = v2.CutMix(num_classes=4)
    box = Box(top=1, bottom=4, left=2, right=8)
    share = 1 - 3 * 6 / 64
    cutmix.make_params = lambda _: {"box": (2, 1, 8, 4), "lam_adjusted": share}
    expected, _ = cutmix(images, labels)
    pasted, kept = paste(images, box)
    assert torch.equal(pasted, expected)
    assert kept == pytest.approx(share)


def test_the_share_is_that_of_the_pixels_which_stay():
    images = torch.arange(5.0).view(5, 1, 1, 1).expand(5, 3, 7, 9)
    for seed in range(50):
        draws = generator(seed)
        pasted, kept = paste(images, draw_box(draw_mixing_ratio(1.0, draws), 7, 9, draws))
        assert (pasted == images).float().mean().item() == pytest.approx(kept)


def test_boxes_stay_inside_and_their_area_is_what_was_asked_for_where_no_border_cuts():
    boxes = [draw_box(0.75, 32, 32, generator(seed)) for seed in range(200)]
    sides = np.array([(box.bottom - box.top, box.right - box.left) for box in boxes])
    assert all(
        0 <= box.top <= box.bottom <= 32 and 0 <= box.left <= box.right <= 32 for box in boxes
    )
    assert sides.max() == 16
    assert {tuple(side) for side in sides} >= {(16, 16)}
