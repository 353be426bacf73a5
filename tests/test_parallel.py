"""Two CPU processes (gloo) against one on the same global batches."""

import json
import os
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest
import torch
import torch.multiprocessing
from pytorch_lightning import Callback, Trainer
from torch import nn

from regularizer_collection.callbacks import (
    Calibration,
    Dashboard,
    DataPlanes,
    Evaluation,
    Measurement,
    Robustness,
    Segments,
)
from regularizer_collection.datamodules import Shapes100DataModule
from regularizer_collection.experiments.run import PROJECT
from regularizer_collection.lightning_modules import (
    JacobianClassifier,
    NoRegClassifier,
    ResNet18,
    SVBClassifier,
    SyncBatchNorm,
)
from regularizer_collection.regularizers import penalty_gradient_ratio


@pytest.fixture(autouse=True)
def preloaded_processes(monkeypatch):
    """Spawned processes need not import everything again."""
    start = torch.multiprocessing.start_processes

    def fork(*args, **kwargs):
        return start(*args, **kwargs | {"start_method": "forkserver"})

    monkeypatch.setattr(torch.multiprocessing, "start_processes", fork)


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


LOGGED = ("train/loss", "train/cross_entropy", "train/jacobian_penalty")


class Recording:
    """Keeps what a test compares, in the checkpoint's place for plain values."""

    def on_train_start(self):
        self.logged = {name: [] for name in LOGGED}

    def on_train_batch_end(self, outputs, batch, batch_idx):
        for name, values in self.logged.items():
            if name in self.trainer.callback_metrics:
                value = self.trainer.callback_metrics[name]
                values.append(self.trainer.strategy.reduce(value, reduce_op="mean").item())

    def on_train_end(self):
        weights = torch.cat([p.detach().flatten() for p in self.backbone.parameters()])
        for gathered in self.all_gather(weights).view(-1, len(weights)):
            assert torch.equal(gathered, weights)
        if self.trainer.is_global_zero:
            torch.save(
                (self.backbone.state_dict(), self.logged), self.trainer.default_root_dir + "/fit.pt"
            )

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


class RecordingDoubleJacobian(RecordingJacobian):
    """Takes 64-bit images, for a backbone of 64-bit weights."""

    def training_step(self, batch, batch_idx):
        images, labels = batch
        return super().training_step((images.double(), labels), batch_idx)


SGD = partial(torch.optim.SGD, lr=0.01, momentum=0.9)
SETTINGS = {
    RecordingJacobian: {"lambda_jacobian": 0.1, "num_projections": 2},
    RecordingSVB: {"every_n_steps": 3},
}


def train(model, folder, devices, accumulate=1, plugins=(), train_size=80, callbacks=()):
    """Takes 20 steps of at most 8 samples; returns the trainer, the weights and what was logged."""
    folder.mkdir()
    trainer = Trainer(
        accelerator="cpu",
        devices=devices,
        strategy="ddp_spawn" if devices > 1 else "auto",
        max_epochs=2,
        accumulate_grad_batches=accumulate,
        plugins=list(plugins),
        callbacks=list(callbacks),
        default_root_dir=str(folder),
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        limit_val_batches=0,
        log_every_n_steps=1,
    )
    batch_size = 8 // accumulate
    data = Shapes100DataModule(train_size=train_size, test_size=61, batch_size=batch_size)
    trainer.fit(model, data)
    return trainer, *torch.load(folder / "fit.pt", weights_only=True)


def train_and_test(cls, folder, devices):
    model = cls(backbone=backbone(), optimizer=SGD, **SETTINGS[cls])
    trainer, weights, logged = train(model, folder, devices)
    model.backbone.load_state_dict(weights)
    trainer.test(model, Shapes100DataModule(test_size=61, batch_size=20), verbose=False)
    return weights, logged, torch.load(folder / "metrics.pt", weights_only=True)


def near(logged, tolerance):
    return {name: pytest.approx(values, rel=tolerance) for name, values in logged.items()}


@pytest.mark.parametrize("cls", SETTINGS)
def test_two_processes_equal_one(cls, tmp_path):
    one_weights, one_logged, one_metrics = train_and_test(cls, tmp_path / "one", devices=1)
    two_weights, two_logged, two_metrics = train_and_test(cls, tmp_path / "two", devices=2)
    assert len(one_logged["train/loss"]) == 20
    assert len(one_logged["train/jacobian_penalty"]) == (20 if cls is RecordingJacobian else 0)
    assert two_logged == near(one_logged, 1e-6)
    torch.testing.assert_close(two_weights, one_weights, rtol=1e-6, atol=1e-6)
    assert two_metrics["test/accuracy"] == one_metrics["test/accuracy"]
    assert two_metrics["test/loss"] == pytest.approx(one_metrics["test/loss"], rel=1e-6)


class RecordingMore(RecordingJacobian):
    """Keeps what a checkpoint in mid-epoch counts, and how penalty and loss compare."""

    def on_train_start(self):
        super().on_train_start()
        self.logged |= {"ratio": [], "counts": []}

    def _log_terms(self, terms):
        super()._log_terms(terms)
        ratio = penalty_gradient_ratio(terms, self.backbone.parameters(), self.trainer.world_size)
        self.logged["ratio"].append(ratio.item())

    def on_train_batch_end(self, outputs, batch, batch_idx):
        if batch_idx == 4:
            checkpoint = {}
            self.on_save_checkpoint(checkpoint)
            counts = checkpoint["train_accuracy"]
            self.logged["counts"].append(sum(count.sum().item() for count in counts.values()))
            self.on_load_checkpoint(checkpoint)  # after which the processes have as many together
            checkpoint = {}
            self.on_save_checkpoint(checkpoint)
            again = checkpoint["train_accuracy"]
            assert all(torch.equal(again[name], counts[name]) for name in counts)


def test_two_processes_count_and_compare_what_one_does(tmp_path):
    def run(devices):
        model = RecordingMore(backbone=backbone(), optimizer=SGD, lambda_jacobian=0.1)
        return train(model, tmp_path / str(devices), devices)[2]

    one, two = run(devices=1), run(devices=2)
    assert two["ratio"] == pytest.approx(one["ratio"], rel=1e-4)
    assert two["counts"] == one["counts"]
    assert len(one["counts"]) == 2


class RecordingBuffers(Recording, NoRegClassifier):
    """Looks at running statistics and logged values after what is measured of an epoch."""

    def on_train_epoch_end(self):
        super().on_train_epoch_end()
        statistics = self.backbone[1].running_mean
        for gathered in self.all_gather(statistics).view(-1, len(statistics)):
            assert torch.equal(gathered, statistics)
        norm = self.trainer.callback_metrics["jacobian/norm"]  # of statistics of its own
        assert torch.equal(self.all_gather(norm), norm.expand(self.trainer.world_size))


def test_all_processes_measure_one_network_after_an_epoch(tmp_path):
    network = backbone()
    network[1] = nn.BatchNorm2d(8)
    model = RecordingBuffers(backbone=network, optimizer=SGD)
    evaluation = Evaluation(plane_sets=[Segments(num_planes=2, resolution=3)], every_n_epochs=1)
    train(model, tmp_path / "two", 2, callbacks=[Dashboard(), evaluation])


def test_two_processes_equal_one_where_batches_are_not_shared_evenly(tmp_path):
    """Half of the batches have 7 samples, of which one process has 4."""

    def run(devices):
        model = RecordingJacobian(backbone=backbone(), optimizer=SGD, lambda_jacobian=0.1)
        return train(model, tmp_path / str(devices), devices, train_size=75)[1:]

    one_weights, one_logged = run(devices=1)
    two_weights, two_logged = run(devices=2)
    assert len(one_logged["train/loss"]) == 20
    assert two_logged == near(one_logged, 1e-6)
    torch.testing.assert_close(two_weights, one_weights, rtol=1e-6, atol=1e-6)


def test_two_processes_equal_one_through_synchronised_batch_normalisation(tmp_path):
    def run(devices):
        torch.manual_seed(0)
        # In 64 bits, as a ResNet grows the rounding of 32 bits past any tolerance in 20 steps.
        network = ResNet18(dropout=0.0).double()
        model = RecordingDoubleJacobian(backbone=network, optimizer=SGD)
        return train(model, tmp_path / str(devices), devices, plugins=[SyncBatchNorm()])[1:]

    one_weights, one_logged = run(devices=1)
    two_weights, two_logged = run(devices=2)
    assert len(one_logged["train/jacobian_penalty"]) == 20
    assert two_logged == near(one_logged, 1e-8)
    torch.testing.assert_close(two_weights, one_weights, rtol=1e-8, atol=1e-8)


def test_gradient_accumulation_equals_one_large_batch(tmp_path):
    def run(accumulate):
        model = RecordingSVB(backbone=backbone(), optimizer=SGD, every_n_steps=3)
        return train(model, tmp_path / str(accumulate), 1, accumulate)[1]

    torch.testing.assert_close(run(2), run(1), rtol=1e-6, atol=1e-6)


def measure(folder, devices):
    folder.mkdir()
    evaluation = WritingEvaluation(
        zoom_levels=(0.1, 0.01),
        num_planes=3,
        resolution=21,
        plane_sets=[DataPlanes(5, resolution=9), Segments(7, resolution=9)],
    )
    trainer = Trainer(
        accelerator="cpu",
        devices=devices,
        strategy="ddp_spawn" if devices > 1 else "auto",
        default_root_dir=str(folder),
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        callbacks=[
            Robustness(7, num_steps=2, distance_steps=3, chunk_size=2),
            Calibration(num_foreign=5),
            evaluation,
        ],
    )
    data = Shapes100DataModule(train_size=120, test_size=61, batch_size=20)
    trainer.test(NoRegClassifier(backbone()), data, verbose=False)
    return {
        "planes": json.loads((folder / "planes.json").read_text()),
        "robustness": json.loads((folder / "robustness.json").read_text()),
        "calibration": json.loads((folder / "calibration.json").read_text()),
    }


class WritingEvaluation(Evaluation):
    def teardown(self, trainer, pl_module, stage):
        leave_process_group()

    def on_test_end(self, trainer, pl_module):
        for measurement in trainer.callbacks:
            if isinstance(measurement, Measurement) and trainer.is_global_zero:
                path = Path(trainer.default_root_dir) / f"{measurement.section}.json"
                path.write_text(json.dumps(measurement.record))


def test_two_processes_measure_what_one_measures(tmp_path):
    one = measure(tmp_path / "one", devices=1)
    assert one.keys() == {"planes", "robustness", "calibration"}
    assert measure(tmp_path / "two", devices=2) == one


class KilledInMidTraining(Callback):
    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        if trainer.global_rank == 1 and trainer.global_step == 2:
            os.kill(os.getpid(), signal.SIGKILL)


class FailsInMidTraining(Callback):
    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        if trainer.global_rank == 1 and trainer.global_step == 2:
            raise RuntimeError("out of memory")


def run_in_two_processes(command, root, config, *options):
    """Runs a command of ``cli.py`` and waits for both processes, as both hold the pipes."""
    command = [
        *(sys.executable, "cli.py", command, "--config", config, "--config", "smoke.yaml"),
        *("--trainer.devices", "2", "--trainer.accelerator", "cpu"),
        *("--trainer.default_root_dir", str(root), "--allow_imports", "tests", *options),
        *("--model.backbone", "tests.cases.tiny.TinyNet"),
    ]
    # A hang lasts gloo's 30 minutes.
    return subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, timeout=150)


def test_the_command_line_trains_in_two_processes_with_synchronised_batch_normalisation(tmp_path):
    options = ("--data.train_size", "100", "--data.batch_size", "20")
    options += ("--trainer.callbacks", "ModelCheckpoint")
    options += ("--trainer.callbacks.monitor", "jacobian/norm")
    done = run_in_two_processes(
        "fit", tmp_path, "jacobi.yaml", "--trainer.sync_batchnorm", "true", *options
    )
    assert done.returncode == 0, done.stderr
    assert "sync_dist" not in done.stderr
    (results,) = tmp_path.rglob("results.json")
    assert results.parent == tmp_path / "jacobi/seed_0"
    checkpoint = torch.load(results.parent / "checkpoints/last.ckpt", weights_only=True)
    assert checkpoint["global_step"] == 2 * 100 // 20
    last = ("--ckpt_path", str(results.parent / "checkpoints/last.ckpt"))
    options = ("--data.test_size", "20", "--robustness.num_images", "4")
    options += ("--robustness.chunk_size", "1", "--robustness.num_steps", "2")
    done = run_in_two_processes("test", tmp_path, "jacobi.yaml", *last, *options)
    assert done.returncode == 0, done.stderr
    (folder,) = (results.parent / "tests").iterdir()
    assert (folder / "test.json").is_file()
    assert not (folder / "robustness/parts").exists()


@pytest.mark.parametrize("callback", [KilledInMidTraining, FailsInMidTraining])
def test_a_process_that_dies_ends_the_run_with_an_error(callback, tmp_path):
    name = f"tests.test_parallel.{callback.__name__}"
    done = run_in_two_processes("fit", tmp_path, "no_reg.yaml", "--trainer.callbacks", name)
    assert done.returncode != 0
    # Lightning looks after the other processes every 5 seconds, and may come before gloo's error.
    assert "error: " in done.stderr or "terminated with code" in done.stderr
    assert not list(tmp_path.rglob("results.json"))
