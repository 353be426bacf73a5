import math

import pytest
import torch
from torch import nn

from regularizer_collection.regularizers import (
    AdversarialTraining,
    PixelSpace,
    Step,
    regularized_loss,
)

PIXELS = PixelSpace((0.5, 0.5, 0.5), (0.25, 0.25, 0.25))


def images(size=6):
    generator = torch.Generator().manual_seed(0)
    pixels = 0.3 + 0.4 * torch.rand(size, 3, 4, 4, generator=generator, dtype=torch.float64)
    return PIXELS.normalise(pixels)  # far enough from 0 and 1 that the box is whole


class Binary(nn.Module):
    def __init__(self):
        super().__init__()
        generator = torch.Generator().manual_seed(1)
        self.weight = nn.Parameter(torch.randn(48, generator=generator, dtype=torch.float64))

    def forward(self, x):
        margin = x.flatten(1) @ self.weight
        return torch.stack([-margin / 2, margin / 2], 1)


def test_a_linear_binary_model_trains_on_its_worst_case():
    """CE at margin - eps ||w||_1, in closed form."""
    network, x, labels = Binary(), images(), torch.tensor([0, 1, 0, 1, 0, 1])
    regularizer = AdversarialTraining(eps=0.05, step_size=0.02, num_steps=10)
    step = Step(network, 2, pixels=PIXELS)
    loss = regularized_loss(network, [regularizer], x, labels, step).total
    margin = (2 * labels - 1) * (x.flatten(1) @ network.weight)
    worst = margin - 0.05 / 0.25 * network.weight.abs().sum()
    torch.testing.assert_close(loss, nn.functional.softplus(-worst).mean())


def test_the_attack_is_in_eval_mode_and_leaves_the_mode_alone():
    class Watched(nn.Module):
        def __init__(self):
            super().__init__()
            self.net = nn.Sequential(nn.Flatten(), nn.BatchNorm1d(48), nn.Linear(48, 2)).double()
            self.modes = []

        def forward(self, x):
            self.modes.append(self.training)
            return self.net(x)

    network = Watched()
    network.net[1].eval()
    regularized_loss(
        network,
        [AdversarialTraining(num_steps=3)],
        images(),
        torch.zeros(6, dtype=torch.long),
        Step(network, 2, pixels=PIXELS),
    )
    assert network.modes == [False, False, False, True]
    assert not network.net[1].training
    assert network.net[2].training


def test_data_without_pixels_are_refused_by_name():
    network = Binary()
    with pytest.raises(ValueError, match="adversarial training works on pixels"):
        AdversarialTraining().transform(images(), torch.zeros(6), Step(network, 2))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"eps": -1}, "eps is -1; give 0 or more"),
        ({"step_size": math.nan}, "step_size is nan; give 0 or more"),
        ({"num_steps": 0}, "num_steps is 0; give 1 or more"),
    ],
)
def test_refuses_wrong_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        AdversarialTraining(**arguments)
