import torch
import torch.nn.functional as F
from torch.autograd import gradcheck, gradgradcheck

from functional.batch_norm import batch_norm


def make():
    torch.manual_seed(0)
    maps = torch.randn(4, 3, 2, 3, dtype=torch.float64, requires_grad=True)
    weight = torch.randn(3, dtype=torch.float64, requires_grad=True)
    bias = torch.randn(3, dtype=torch.float64, requires_grad=True)
    return maps, weight, bias


def running():
    return torch.zeros(3, dtype=torch.float64), torch.ones(3, dtype=torch.float64)


def test_equals_torch_and_updates_the_running_statistics_alike():
    maps, weight, bias = make()
    ours, theirs = running(), running()
    output = batch_norm(maps, weight, bias, *ours, 0.1, 1e-5)
    expected = F.batch_norm(maps, *theirs, weight, bias, True, 0.1, 1e-5)
    torch.testing.assert_close(output, expected)
    torch.testing.assert_close(ours, theirs)


def test_first_and_second_derivatives_are_exact():
    def normalise(*inputs):
        return batch_norm(*inputs, *running(), 0.1, 1e-5)

    assert gradcheck(normalise, make())
    assert gradgradcheck(normalise, make())
