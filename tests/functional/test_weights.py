import pytest
from torch import nn

from regularizer_collection.functional.weights import weight_matrices


def test_biases_normalisation_and_frozen_weights_stay_out():
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Linear(4, 2), nn.Linear(2, 2))
    network[3].requires_grad_(False)
    assert list(weight_matrices(network)) == ["0.weight", "2.weight"]


def test_a_network_without_trained_matrices_is_told():
    with pytest.raises(ValueError, match="BatchNorm1d has no weight of 2 or more dimensions"):
        weight_matrices(nn.BatchNorm1d(3))
