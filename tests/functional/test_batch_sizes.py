import pytest
import torch

from regularizer_collection.functional.batch_sizes import in_few_sizes


@pytest.fixture
def seen():
    return []


@pytest.fixture
def model(seen):
    def cube(samples):
        seen.append(samples)
        return samples.flatten(1).pow(3).sum(1)

    return cube


def test_the_model_sees_multiples_alone_and_outputs_and_gradients_are_its_own(model, seen):
    samples = torch.randn(23, 3, 4, 4).to(memory_format=torch.channels_last).requires_grad_()
    few = in_few_sizes(model, 5)
    for size in range(1, 24):
        outputs = few(samples[:size])
        torch.testing.assert_close(outputs, samples[:size].flatten(1).pow(3).sum(1))
    assert {len(batch) for batch in seen} == {5, 10, 15, 20, 25}
    (gradient,) = torch.autograd.grad(outputs.sum(), samples)
    torch.testing.assert_close(gradient, 3 * samples.detach() ** 2)


def test_the_memory_format_stays(model, seen):
    samples = torch.randn(7, 3, 4, 4).to(memory_format=torch.channels_last)
    in_few_sizes(model, 5)(samples)
    assert seen[0].is_contiguous(memory_format=torch.channels_last)


def test_no_samples_stay_none(model, seen):
    assert in_few_sizes(model, 5)(torch.zeros(0, 3)).shape == (0,)
