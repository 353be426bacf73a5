import pytest
import torch
import torch.nn.functional as F

from regularizer_collection.regularizers import InputNoise, Step
from tests.regularizers.conftest import batch, linear


def test_the_mean_loss_is_bishops_half_variance_times_the_trace_of_the_hessian():
    network, (images, labels) = linear(), batch()
    noise, std = InputNoise(0.05), 0.05
    losses = []
    for index in range(4000):
        noisy, _ = noise.transform(images, labels, Step(network, 5, index=index))
        losses.append(F.cross_entropy(network(noisy), labels))
    losses = torch.stack(losses).detach()

    def loss_of(image, label):
        return F.cross_entropy(network(image.view(1, 3, 4, 4)), label[None])

    hessians = torch.vmap(torch.func.jacrev(torch.func.jacrev(loss_of)))(images.flatten(1), labels)
    trace = hessians.diagonal(dim1=1, dim2=2).sum(1).mean()
    expected = F.cross_entropy(network(images), labels) + std**2 / 2 * trace
    assert abs(losses.mean() - expected) < 5 * losses.std() / 4000**0.5 + 1e-5


def test_two_processes_draw_what_one_draws():
    images, labels = batch()
    whole, _ = InputNoise(0.1).transform(images, labels, Step(None, 5))
    for rank in range(2):
        step = Step(None, 5, rank=rank, world_size=2)
        share, _ = InputNoise(0.1).transform(images[rank::2], labels[rank::2], step)
        assert torch.equal(share, whole[rank::2])


def test_the_noise_has_the_standard_deviation_that_is_asked_for():
    images = torch.zeros(400, 3, 8, 8)
    noisy, _ = InputNoise(0.3).transform(images, None, Step(None, 5))
    assert noisy.std().item() == pytest.approx(0.3, rel=0.02)
    assert noisy.mean().item() == pytest.approx(0, abs=0.01)


def test_refuses_a_negative_deviation():
    with pytest.raises(ValueError, match="std is -1; give 0 or more"):
        InputNoise(-1)
