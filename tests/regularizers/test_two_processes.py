"""Two processes (gloo) against one on the same global batch, for every regularizer."""

import socket

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from torch import nn

from regularizer_collection.regularizers import PixelSpace, Step, regularized_loss
from tests.regularizers.test_contract import REGULARIZERS

SIZES = (12, 11)  # of 11 one process has 6


class FrozenNorm(nn.BatchNorm2d):
    """Normalises with the running statistics in training too, so that samples do not interact."""

    def forward(self, maps):
        return nn.functional.batch_norm(
            maps, self.running_mean, self.running_var, self.weight, self.bias
        )


def backbone():
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 6, 3, padding=1, bias=False),
        FrozenNorm(6),
        nn.Tanh(),
        nn.AdaptiveAvgPool2d(2),
        nn.Flatten(),
        nn.Linear(24, 5),
    ).double()


def gradients(cls, num_images, rank=0, world_size=1):
    """The gradient of the global batch after one step of two epochs' worth of draws."""
    network = backbone()
    generator = torch.Generator().manual_seed(0)
    pixels = torch.rand(num_images, 3, 8, 8, generator=generator, dtype=torch.float64)
    images, labels = (pixels - 0.5) / 0.25, torch.arange(num_images) % 5
    share = slice(rank, None, world_size)
    for index in (0, 4):  # batches that CutMix does not leave alone
        step = Step(
            network,
            5,
            index=index,
            global_step=8,
            rank=rank,
            world_size=world_size,
            global_size=num_images,
            pixels=PixelSpace((0.5,) * 3, (0.25,) * 3),
        )
        regularized_loss(network, [cls()], images[share], labels[share], step).total.backward()
    found = [parameter.grad for parameter in network.parameters()]
    if world_size > 1:
        for gradient in found:
            dist.all_reduce(gradient)
            gradient /= world_size
    return found


def process(rank, port, path):
    address = f"tcp://127.0.0.1:{port}"
    dist.init_process_group("gloo", init_method=address, rank=rank, world_size=2)
    found = {
        (cls.__name__, num_images): gradients(cls, num_images, rank, 2)
        for cls in REGULARIZERS
        for num_images in SIZES
    }
    if rank == 0:
        torch.save(found, path)
    dist.barrier()
    dist.destroy_process_group()


@pytest.fixture(scope="module")
def of_two_processes(tmp_path_factory):
    path = tmp_path_factory.mktemp("two") / "gradients.pt"
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    mp.start_processes(process, (port, path), nprocs=2, start_method="forkserver")
    return torch.load(path, weights_only=True)


@pytest.mark.parametrize("num_images", SIZES)
@pytest.mark.parametrize("cls", REGULARIZERS)
def test_two_processes_have_the_gradient_of_one(cls, num_images, of_two_processes):
    of_two = of_two_processes[cls.__name__, num_images]
    for found, expected in zip(of_two, gradients(cls, num_images), strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-8)
