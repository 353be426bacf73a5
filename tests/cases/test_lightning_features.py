"""Sections B, C and D of cases.md: what users of Lightning do every day."""

import json
import os
import subprocess
import sys

import pandas as pd
import pytest
import torch
import torchvision
import yaml
from torch import nn

from regularizer_collection.__main__ import main
from regularizer_collection.experiments.run import PROJECT
from regularizer_collection.lightning_modules import JacobianClassifier, NoRegClassifier, ResNet18
from tests.cases.conftest import results

FOLDER = "runs/no_reg/seed_0"
LAST = f"{FOLDER}/checkpoints/last.ckpt"
PLATEAU = "pytorch_lightning.cli.ReduceLROnPlateau"
ADAM = ("--optimizer", "torch.optim.Adam")
ALLOWED = ("--allow_imports", "tests")
SLURM = "pytorch_lightning.plugins.environments.SLURMEnvironment"


def callback(name, **arguments):
    given = (("--trainer.callbacks", name),)
    given += tuple((f"--trainer.callbacks.{key}", str(value)) for key, value in arguments.items())
    return tuple(part for pair in given for part in pair)


@pytest.mark.parametrize(
    "args",
    [
        callback("StochasticWeightAveraging", swa_lrs=0.05, swa_epoch_start=1),
        callback("EMAWeightAveraging"),
        callback("EarlyStopping", monitor="lr"),
        callback("ModelCheckpoint", save_top_k=-1),
        callback("LearningRateMonitor"),
        ("--trainer.profiler", "pytorch"),
        ("--trainer.profiler", "simple"),
        ("--trainer.enable_checkpointing", "false"),
        ("--trainer.limit_train_batches", "2"),
        ("--trainer.plugins", SLURM, "--trainer.plugins.auto_requeue", "false"),
        ("--trainer.accumulate_grad_batches", "2"),
        ("--trainer.detect_anomaly", "true"),
        ("--lr_scheduler", "OneCycleLR", "--lr_scheduler.max_lr", "0.1"),
        (
            *("--lr_scheduler", PLATEAU, "--lr_scheduler.monitor", "test_curve/loss"),
            *("--model.lr_interval", "epoch"),
        ),
        (*ADAM, "--lr_scheduler", "CosineAnnealingLR", "--lr_scheduler.T_max", "6"),
    ],
    ids=lambda args: args[1],
)
@pytest.mark.filterwarnings("ignore")  # Lightning's own, on what each feature implies
def test_a_feature_of_lightning_works_and_leaves_results(args, run, here):
    logger = ("--trainer.logger", "TensorBoardLogger", "--trainer.logger.save_dir", "logs")
    assert run("fit", *args, *logger, config="jacobi.yaml") == 0
    assert results(here / "runs/jacobi/seed_0")["test"]["accuracy"] >= 0


@pytest.mark.filterwarnings("ignore")
def test_barebones_trains_and_says_that_it_left_nothing(run, here, capfd):
    assert run("fit", "--trainer.barebones", "true") == 0
    assert "No results" in capfd.readouterr().out


class TestBackbones:
    def test_may_be_functions(self, run, here):
        function = ("--model.backbone", "torchvision.models.mobilenet_v3_small")
        args = (*function, "--model.backbone.num_classes", "100", "--trainer.max_epochs", "1")
        assert run("fit", *args) == 0

    def test_with_hooks_that_cannot_be_copied_are_measured(self, make_trainer, tiny_data):
        backbone = nn.Sequential(nn.Flatten(), nn.Linear(3072, 100))
        generator = (number for number in range(9))
        backbone.register_forward_hook(lambda *_: next(generator, None) and None)
        model = NoRegClassifier(backbone=backbone)
        with model.for_inference() as network:
            assert not network.training
        assert backbone.training

    def test_other_than_the_default_are_loaded_from_a_checkpoint(
        self, make_trainer, tiny_data, tmp_path
    ):
        model = NoRegClassifier(backbone=ResNet18(stem="cifar", dropout=0.1))
        trainer = make_trainer(max_epochs=1, limit_train_batches=1)
        trainer.fit(model, tiny_data)
        trainer.save_checkpoint(tmp_path / "cifar.ckpt")
        loaded = NoRegClassifier.load_from_checkpoint(tmp_path / "cifar.ckpt")
        assert loaded.backbone.arguments == {"num_classes": 100, "dropout": 0.1, "stem": "cifar"}
        assert torch.equal(loaded.backbone.fc.weight, model.backbone.fc.weight)

    @pytest.mark.parametrize("setting", [{"momentum": None}, {"track_running_stats": False}])
    def test_may_average_their_statistics_otherwise(self, setting):
        torch.manual_seed(0)
        ours, theirs = ResNet18(5, dropout=0.0), torchvision.models.resnet18(num_classes=5)
        theirs.load_state_dict(ours.state_dict())
        for network in (ours, theirs):
            for module in network.modules():
                if isinstance(module, nn.BatchNorm2d):
                    vars(module).update(setting)
        images = torch.randn(4, 3, 32, 32)
        for _ in range(2):
            ours(images.requires_grad_())
            theirs(images.detach())
        for name, buffer in theirs.named_buffers():
            torch.testing.assert_close(ours.get_buffer(name), buffer, rtol=1e-3, atol=1e-4)


class TestWeightDecay:
    """l2 and the optimizer never disagree silently."""

    def test_that_disagrees_is_refused(self, run, capfd):
        assert run("fit", "--optimizer.weight_decay", "0.01", config="l2.yaml") == 2
        assert "the optimizer's weight_decay is 0.01, that of L2Classifier 0.0005" in (
            capfd.readouterr().err
        )

    def test_that_agrees_is_fine(self, run, here):
        assert run("fit", "--optimizer.weight_decay", "0.0005", config="l2.yaml") == 0
        optimizer = results(here / "runs/l2/seed_0")["facts"]["optimizer"]
        assert optimizer["weight_decay"] == 0.0005


def test_predictions_are_kept_with_the_positions_of_their_images(run, here):
    assert run("fit") == 0
    assert run("predict", "--ckpt_path", f"{FOLDER}/checkpoints/last.ckpt") == 0
    (path,) = (here / "runs").rglob("predictions.csv")
    table = pd.read_csv(path)
    saved = torch.load(path.with_suffix(".pt"), weights_only=True)
    assert table["index"].tolist() == list(range(100)) == saved["index"].tolist()
    probabilities = torch.tensor(table.filter(like="class_").to_numpy(), dtype=torch.float32)
    torch.testing.assert_close(probabilities, saved["probabilities"])
    torch.testing.assert_close(probabilities.sum(1), torch.ones(100))
    assert (probabilities.argmax(1).numpy() == table["predicted"]).all()


def test_hyperparameters_are_those_that_a_comparison_varies():
    model = JacobianClassifier(lambda_jacobian=0.3)
    found = model.hyperparameters()
    assert (found["lr"], found["weight_decay"], found["momentum"]) == (0.1, 0, 0.9)
    assert (found["dropout"], found["stem"]) == (0.5, "imagenet")
    assert found["jacobian_penalty/coefficient"] == 0.3


def test_a_shape_error_in_a_users_network_gets_one_line_and_a_traceback_beside_the_run(
    run, here, capfd
):
    assert run("fit", "--model.backbone.num_classes", "10") == 2
    (line,) = (o for o in capfd.readouterr().err.splitlines() if o.startswith("error: "))
    log = here / FOLDER / "error.log"
    assert line.endswith(f"; traceback: {log}")
    assert "Traceback" in log.read_text()


def test_records_of_a_saved_config_are_those_of_the_run(run, here):
    assert run("fit") == 0
    record = json.loads((here / FOLDER / "run.json").read_text())
    config = yaml.safe_load((here / FOLDER / "config.yaml").read_text())
    assert config["seed_everything"] == record["identity"]["seed"] == 0
    assert config["model"]["init_args"]["seed"] == config["data"]["init_args"]["seed"] == 0


def test_a_run_with_averaged_weights_goes_on_and_its_config_can_be_read(here):
    def fit(*args):
        command = [
            sys.executable,
            str(PROJECT / "cli.py"),
            "fit",
            *args,
            "--allow_imports",
            "tests",
        ]
        subprocess.run(command, check=True, env=os.environ | {"PYTHONPATH": str(PROJECT)})

    swa = callback("StochasticWeightAveraging", swa_lrs=0.05, swa_epoch_start=1)
    configs = ("--config", "no_reg.yaml", "--config", "tiny.yaml", "--variant", "no_reg")
    fit(*configs, *swa, "--test", "false")
    fit(*configs, *swa, "--trainer.max_epochs", "4", "--ckpt_path", "last")
    assert results(here / FOLDER)["facts"]["epochs"] == 4
    fit("--config", f"{FOLDER}/config.yaml", "--seed_everything", "1", "--trainer.max_epochs", "2")
    assert results(here / "runs/no_reg/seed_1")["facts"]["epochs"] == 2


def test_seeds_of_a_schedule_of_ones_own_belong_together(run, here, capsys):
    schedule = "torch.optim.lr_scheduler.LambdaLR"
    args = ("--lr_scheduler", schedule, "--lr_scheduler.lr_lambda", "tests.cases.tiny.halved")
    for seed in ("0", "1"):
        assert run("fit", *args, "--seed_everything", seed) == 0
    found = [results(here / f"runs/no_reg/seed_{seed}") for seed in (0, 1)]
    assert found[0]["fingerprint"] == found[1]["fingerprint"]
    settings = found[0]["identity"]["settings"]
    assert "tests.cases.tiny.halved" in settings.values()
    assert "own_code.tests.cases.tiny" in settings
    assert main(["report", "runs"]) == 0


def test_a_last_checkpoint_of_weights_alone_is_refused(run, capsys):
    args = callback("ModelCheckpoint", save_last=True, save_weights_only=True)
    assert run("fit", *args) == 2
    assert "from such a last.ckpt no run could go on; leave save_last" in capsys.readouterr().err
    assert run("fit", *args, "--trainer.callbacks.dirpath", "elsewhere") == 0
    assert "optimizer_states" in torch.load(LAST, weights_only=True)
