import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations

from regularizer_collection.functional.weights import weight_matrices, weights_hash


def test_biases_normalisation_and_frozen_weights_stay_out():
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Linear(4, 2), nn.Linear(2, 2))
    network[3].requires_grad_(False)
    assert list(weight_matrices(network)) == ["0.weight", "2.weight"]


def test_scales_of_a_normalisation_positions_and_tokens_stay_out():
    class Patches(nn.Module):
        def __init__(self):
            super().__init__()
            self.token, self.position = (nn.Parameter(torch.ones(1, 2, 4)) for _ in range(2))
            self.norm, self.rms = nn.LayerNorm([2, 4]), nn.RMSNorm([2, 4])
            self.attention = nn.MultiheadAttention(4, 2)

    assert list(weight_matrices(Patches())) == [
        "attention.in_proj_weight",
        "attention.out_proj.weight",
    ]


@pytest.mark.parametrize(
    "compute",
    [parametrizations.spectral_norm, parametrizations.weight_norm, nn.utils.spectral_norm],
)
def test_a_weight_that_its_layer_computes_is_refused(compute):
    network = nn.Sequential(nn.Linear(3, 4), compute(nn.Linear(4, 2)))
    with pytest.raises(ValueError, match=r"^1 computes its weight from other parameters"):
        weight_matrices(network)


def test_a_name_alone_does_not_make_a_weight_one_that_is_computed():
    class Cell(nn.Module):
        def __init__(self):
            super().__init__()
            self.weight_i, self.weight_g = (nn.Parameter(torch.ones(2, 2)) for _ in range(2))

    assert list(weight_matrices(Cell())) == ["weight_i", "weight_g"]


def test_a_network_without_trained_matrices_is_told():
    with pytest.raises(
        ValueError, match="BatchNorm1d has no trained weight of 2 or more dimensions"
    ):
        weight_matrices(nn.BatchNorm1d(3))


class WithExtraState(nn.Linear):
    def __init__(self, extra):
        super().__init__(2, 2)
        self.extra = extra

    def get_extra_state(self):
        return self.extra

    def set_extra_state(self, state):
        self.extra = state


def test_what_is_no_tensor_counts_in_the_hash_too():
    hashes = []
    for extra in ({"scale": 1}, {"scale": 2}, {"scale": 1}):
        torch.manual_seed(0)
        network = nn.ModuleDict({"backbone": WithExtraState(extra)})
        hashes.append(weights_hash(network.state_dict()))
    assert hashes[0] == hashes[2] != hashes[1]
