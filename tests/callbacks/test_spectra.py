import numpy as np
import pytest
import torch
from torch import nn

from regularizer_collection.callbacks import Spectra
from regularizer_collection.lightning_modules import NoRegClassifier


def test_the_quantiles_are_those_of_each_layers_singular_values(make_trainer, tiny_data):
    torch.manual_seed(0)
    backbone = nn.Sequential(nn.Conv2d(3, 8, 3, stride=8), nn.Flatten(), nn.Linear(128, 100))
    spectra = Spectra()
    trainer = make_trainer(callbacks=[spectra])
    trainer.test(NoRegClassifier(backbone), tiny_data, verbose=False)
    quantiles = spectra.record["quantiles"]
    assert set(quantiles) == {"0", "2"}
    for name, weight in (("0", backbone[0].weight), ("2", backbone[2].weight)):
        sigma = torch.linalg.svdvals(weight.detach().flatten(1)).double().numpy()
        expected = np.quantile(sigma, np.linspace(0, 1, 33))
        assert quantiles[name] == pytest.approx(expected.tolist(), rel=1e-3)
