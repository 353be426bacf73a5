"""Our attacks on a trained network, against those of the authors' library."""

import sys
import warnings
from types import ModuleType

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from regularizer_collection.datamodules.shape_drawing import draw_shapes
from regularizer_collection.functional.attacks import fmn_l2, pgd

EPS = 2 / 255


@pytest.fixture(scope="module")
def adv_lib():
    visdom = ModuleType("visdom")  # it draws plots, and is imported at once
    visdom.Visdom = object
    sys.modules.setdefault("visdom", visdom)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it asks for versions in a deprecated way
        pytest.importorskip("adv_lib", reason="adv-lib is missing: see the Makefile")
        import adv_lib.attacks

    return adv_lib.attacks


class PixelNetwork(nn.Module):
    """A small convolutional network of pixels from 0 to 1."""

    def __init__(self):
        super().__init__()
        sizes = ((3, 32), (32, 64), (64, 128))
        self.maps = nn.Sequential(
            *(
                nn.Sequential(
                    nn.Conv2d(inside, out, 3, stride=2, padding=1), nn.BatchNorm2d(out), nn.ReLU()
                )
                for inside, out in sizes
            )
        )
        self.fc = nn.Linear(128, 100)

    def forward(self, pixels):
        return self.fc(self.maps((pixels - 0.4) / 0.2).mean((2, 3)))


@pytest.fixture(scope="module")
def attacked():
    """A trained network, and 100 images that it classifies rightly."""
    torch.manual_seed(0)
    images, labels = draw_shapes(6000, 0)
    # Contiguous: adv-lib projects a flat view in place.
    pixels = images.permute(0, 3, 1, 2).contiguous() / 255
    network = PixelNetwork()
    optimizer = torch.optim.AdamW(network.parameters(), lr=3e-3)
    for _ in range(6):
        for batch in torch.randperm(5000).split(100):
            optimizer.zero_grad()
            F.cross_entropy(network(pixels[batch]), labels[batch]).backward()
            optimizer.step()
    network.eval().requires_grad_(False)
    right = (network(pixels[5000:]).argmax(1) == labels[5000:]).nonzero().flatten() + 5000
    assert len(right) > 100
    return network, pixels[right[:100]], labels[right[:100]]


def test_the_median_minimal_distance_is_within_2_per_cent_of_theirs(attacked, adv_lib):
    network, pixels, labels = attacked
    ours = fmn_l2(network, pixels, labels, 100)
    theirs = adv_lib.fmn(network, pixels, labels, norm=2, steps=100)
    assert (network(ours).argmax(1) != labels).all()
    ours, theirs = ((moved - pixels).flatten(1).norm(dim=1) for moved in (ours, theirs))
    is_found = theirs > 0  # where the boundary is very near theirs finds nothing
    assert is_found.double().mean() > 0.9
    assert ours[is_found].median() == pytest.approx(theirs[is_found].median().item(), rel=0.02)
    assert ours[~is_found].le(ours.median()).all()


def test_an_adaptive_attack_lowers_accuracy_by_two_points_at_most(attacked, adv_lib):
    network, pixels, labels = attacked
    survive = torch.ones(len(labels), dtype=torch.bool)
    for start in range(2):
        noise = torch.rand(pixels.shape, generator=torch.Generator().manual_seed(start))
        moved = pgd(network, pixels, labels, EPS, EPS / 4, 20, pixels + EPS * (2 * noise - 1))
        survive &= network(moved).argmax(1) == labels
    stronger = adv_lib.apgd(network, pixels, labels, EPS, float("inf"), loss_function="ce")
    theirs = network(stronger).argmax(1) == labels
    assert 0.02 < survive.double().mean() < 0.9
    assert survive.double().mean() - theirs.double().mean() <= 0.02
