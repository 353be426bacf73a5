"""Two CPU processes (gloo) against one on the same global batches."""

import json
from functools import partial
from pathlib import Path

import pytest
import torch
from pytorch_lightning import Trainer
from torch import nn

from callbacks import Evaluation
from datamodules import Shapes100DataModule
from lightning_modules import JacobianClassifier, NoRegClassifier, SVBClassifier


class FrozenStatistics(nn.BatchNorm2d):
    """Normalises with the running statistics in training too, so that samples do not interact."""

    def forward(self, maps):
        return nn.functional.batch_norm(
            maps, self.running_mean, self.running_var, self.weight, self.bias
        )


def backbone():
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, stride=2, bias=False),
        FrozenStatistics(8),
        nn.Tanh(),
        nn.AdaptiveAvgPool2d(4),
        nn.Flatten(),
        nn.Linear(128, 100),
    )


def leave_process_group():
    """Joins gloo's threads: a process that exits while they run is now and then aborted."""
    if torch.distributed.is_initialized():
        torch.distributed.barrier()
        torch.distributed.destroy_process_group()


class Recording:
    """Keeps what a test compares, in the checkpoint's place for plain values."""

    def on_train_end(self):
        gathered = self.all_gather(self.backbone[0].weight.detach())
        if self.trainer.world_size > 1:
            assert torch.equal(gathered[0], gathered[1])
        if self.trainer.is_global_zero:
            torch.save(self.backbone.state_dict(), self.trainer.default_root_dir + "/weights.pt")

    def teardown(self, stage):
        leave_process_group()

    def on_test_end(self):
        if self.trainer.is_global_zero:
            metrics = {key: value.item() for key, value in self.trainer.callback_metrics.items()}
            torch.save(metrics, self.trainer.default_root_dir + "/metrics.pt")


class RecordingJacobian(Recording, JacobianClassifier):
    pass


class RecordingSVB(Recording, SVBClassifier):
    pass


SETTINGS = {
    RecordingJacobian: {"lambda_jacobian": 0.1, "num_projections": 2},
    RecordingSVB: {"every_n_steps": 3},
}


def train_and_test(cls, folder, devices, accumulate=1):
    folder.mkdir()
    trainer = Trainer(
        accelerator="cpu",
        devices=devices,
        strategy="ddp_spawn" if devices > 1 else "auto",
        max_epochs=2,
        accumulate_grad_batches=accumulate,
        default_root_dir=str(folder),
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        limit_val_batches=0,
        log_every_n_steps=1,
    )
    model = cls(
        backbone=backbone(),
        optimizer=partial(torch.optim.SGD, lr=0.05, momentum=0.9),
        **SETTINGS[cls],
    )
    data = Shapes100DataModule(
        train_size=120, test_size=61, batch_size=20 // (devices * accumulate)
    )
    trainer.fit(model, data)
    weights = torch.load(folder / "weights.pt", weights_only=True)
    model.backbone.load_state_dict(weights)
    trainer.test(model, data, verbose=False)
    return weights, torch.load(folder / "metrics.pt", weights_only=True)


@pytest.mark.parametrize("cls", SETTINGS)
def test_two_processes_equal_one(cls, tmp_path):
    one_weights, one_metrics = train_and_test(cls, tmp_path / "one", devices=1)
    two_weights, two_metrics = train_and_test(cls, tmp_path / "two", devices=2)
    torch.testing.assert_close(two_weights, one_weights, rtol=1e-5, atol=1e-6)
    assert two_metrics["test/accuracy"] == one_metrics["test/accuracy"]
    assert two_metrics["test/loss"] == pytest.approx(one_metrics["test/loss"], rel=1e-5)


def test_gradient_accumulation_equals_one_large_batch(tmp_path):
    one_weights, _ = train_and_test(RecordingSVB, tmp_path / "one", devices=1)
    two_weights, _ = train_and_test(RecordingSVB, tmp_path / "two", devices=1, accumulate=2)
    torch.testing.assert_close(two_weights, one_weights, rtol=1e-5, atol=1e-6)


def measure_planes(folder, devices):
    folder.mkdir()
    evaluation = WritingEvaluation(zoom_levels=(0.1, 0.01), num_planes=3, resolution=21)
    trainer = Trainer(
        accelerator="cpu",
        devices=devices,
        strategy="ddp_spawn" if devices > 1 else "auto",
        default_root_dir=str(folder),
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        callbacks=[evaluation],
    )
    data = Shapes100DataModule(train_size=120, test_size=61, batch_size=20)
    trainer.test(NoRegClassifier(backbone()), data, verbose=False)
    return json.loads((folder / "planes.json").read_text())


class WritingEvaluation(Evaluation):
    def teardown(self, trainer, pl_module, stage):
        leave_process_group()

    def on_test_end(self, trainer, pl_module):
        if trainer.is_global_zero:
            path = Path(trainer.default_root_dir) / "planes.json"
            path.write_text(json.dumps(self.results))


def test_two_processes_measure_the_planes_of_one(tmp_path):
    one = measure_planes(tmp_path / "one", devices=1)
    assert measure_planes(tmp_path / "two", devices=2) == one
