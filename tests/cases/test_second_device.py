"""Runs on a device other than the CPU, simulated: what a GPU refuses is refused."""

import pytest
import torch

from tests.cases.conftest import results
from tests.fake_gpu import GPU, fake_gpu


@pytest.fixture
def gpu(monkeypatch):
    with fake_gpu(monkeypatch):
        yield


class TestTheSimulation:
    def test_refuses_tensors_of_two_devices(self, gpu):
        with pytest.raises(RuntimeError, match="one device"):
            torch.ones(3, device=GPU) + torch.ones(3)

    def test_takes_numbers_from_the_cpu(self, gpu):
        assert (torch.ones(3, device=GPU) * torch.tensor(2.0)).device == GPU

    def test_takes_indices_from_the_cpu_and_gives_none_to_it(self, gpu):
        ours, theirs = torch.arange(3, device=GPU), torch.arange(3)
        assert ours[theirs].tolist() == [0, 1, 2]
        with pytest.raises(RuntimeError, match="one device"):
            theirs[ours]

    def test_refuses_a_generator_of_the_cpu(self, gpu):
        assert torch.rand(2, generator=torch.Generator(GPU), device=GPU).device == GPU
        with pytest.raises(RuntimeError, match="generator"):
            torch.rand(2, generator=torch.Generator(), device=GPU)

    def test_refuses_numpy_until_the_tensor_is_fetched(self, gpu):
        tensor = torch.ones(3).to(GPU)
        with pytest.raises(TypeError, match="numpy"):
            tensor.numpy()
        assert tensor.cpu().numpy().sum() == 3

    def test_moves_weights_and_their_gradients(self, gpu):
        layer = torch.nn.Linear(2, 2).to(GPU)
        layer(torch.ones(1, 2, device=GPU)).sum().backward()
        assert layer.weight.device == layer.weight.grad.device == GPU
        with pytest.raises(RuntimeError, match="one device"):
            layer(torch.ones(1, 2))


def test_a_run_is_trained_measured_continued_and_predicts(run, here, gpu):
    sets = '[{"class_path": "AdversarialPlanes", "init_args": {"num_planes": 1, "resolution": 5}}]'
    planes = ("--evaluation.plane_sets", sets)
    assert run("fit", "--trainer.logger", "true", *planes) == 0
    folder = here / "runs" / "no_reg" / "seed_0"
    found = results(folder)
    assert found["facts"]["device"] == "fake GPU"
    assert found["facts"]["float32_products"] == {"convolutions": "tf32", "matrices": "ieee"}
    assert {"spectra", "robustness", "calibration", "planes"} <= set(found["measurements"])
    last = ("--ckpt_path", str(folder / "checkpoints" / "last.ckpt"))
    assert run("test", *last, *planes) == 0
    assert results(folder)["test"] == found["test"]
    assert run("predict", *last) == 0
    assert run("fit", "--ckpt_path", "last", "--trainer.max_epochs", "3", *planes) == 0
    assert results(folder)["facts"]["epochs"] == 3


def test_singular_values_are_bounded_where_the_weights_are(run, here, gpu):
    quick = ("--trainer.max_epochs", "1", "--robustness.num_images", "0")
    assert run("fit", *quick, "--model.every_n_steps", "1", config="svb.yaml") == 0
