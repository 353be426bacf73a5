import json
import os
import shlex

import pytest
import torch
import yaml
from pytorch_lightning import Callback

from regularizer_collection.__main__ import main
from regularizer_collection.datamodules import ImageDataModule
from regularizer_collection.runtime.cli import RegularizerCLI
from regularizer_collection.runtime.config_files import FOLDER
from regularizer_collection.runtime.run_lock import run_lock

TINY = ("--model.backbone", "tests.cases.tiny.TinyNet")
ADDITIONS = sorted(path.stem for path in FOLDER.glob("with_*.yaml"))


@pytest.fixture
def run(tmp_path):
    """Runs a command on tiny built-in data, below ``tmp_path``."""

    def run(command, *args, config="no_reg.yaml"):
        return main(
            [
                command,
                *("--config", config, "--config", "smoke.yaml"),
                *("--data.train_size", "80", "--data.batch_size", "20"),
                *("--trainer.default_root_dir", str(tmp_path / "runs")),
                *("--trainer.enable_progress_bar", "false"),
                *("--allow_imports", __name__.partition(".")[0]),
                *args,
            ]
        )

    return run


@pytest.fixture
def error(run, capfd):
    """Runs a command that must fail, and returns its one line."""

    def error(*args, command="fit", config="no_reg.yaml"):
        assert run(command, *args, config=config) == 2
        lines = capfd.readouterr().err.splitlines()
        errors = [line for line in lines if line.startswith("error: ")]
        assert len(errors) == 1
        assert "Traceback" not in "".join(lines)
        return errors[0]

    return error


@pytest.mark.parametrize("addition", ADDITIONS)
def test_every_addition_appends_one_regularizer_to_a_variant_that_has_one(addition, run, capfd):
    config = print_config(
        run, capfd, "--config", f"{addition}.yaml", "--config", f"{addition}.yaml"
    )
    assert len(config["model"]["init_args"]["regularizers"]) == 2


def test_a_regularizer_is_added_on_the_command_line_too(run, capfd):
    added = ("--model.regularizers+", "Mixup", "--model.regularizers.alpha", "0.4")
    config = print_config(run, capfd, "--config", "with_sam.yaml", *added, config="svb.yaml")
    assert config["model"]["class_path"].endswith("SVBClassifier")
    sam, mixup = config["model"]["init_args"]["regularizers"]
    assert sam["init_args"] == {"rho": 0.05, "alpha": 1.0}
    assert mixup["init_args"] == {"alpha": 0.4, "layers": "input"}


def print_config(run, capfd, *args, config="no_reg.yaml"):
    with pytest.raises(SystemExit) as stop:
        run("fit", *args, "--print_config", config=config)
    assert stop.value.code == 0
    return yaml.safe_load(capfd.readouterr().out)


def test_configs_compose_and_the_command_line_overrides(run, capfd):
    config = print_config(run, capfd, "--model.lambda_jacobian", "0.1", config="jacobi.yaml")
    assert config["model"]["class_path"].endswith("lightning_modules.JacobianClassifier")
    assert config["model"]["init_args"]["lambda_jacobian"] == 0.1
    assert config["data"]["class_path"].endswith("datamodules.Shapes100DataModule")
    assert config["variant"] == "jacobi"


def test_jacobi_no_dropout_differs_from_jacobi_in_dropout_alone(run, capfd):
    with_dropout = print_config(run, capfd, config="jacobi.yaml")
    without = print_config(run, capfd, config="jacobi_no_dropout.yaml")
    assert without["model"]["init_args"]["backbone"]["init_args"]["dropout"] == 0.0
    without["model"]["init_args"]["backbone"]["init_args"]["dropout"] = 0.5
    without["variant"] = "jacobi"
    assert with_dropout == without


def test_weight_decay_combines_with_any_variant_under_either_spelling(run, capfd):
    for key in ("--optimizer.weight_decay", "--model.optimizer.weight_decay"):
        config = print_config(run, capfd, key, "0.5", config="svb.yaml")
        assert config["model"]["init_args"]["optimizer"]["init_args"]["weight_decay"] == 0.5


def test_the_scheduler_of_the_command_line_is_the_one_that_acts(run, tmp_path):
    step_lr = "torch.optim.lr_scheduler.StepLR"
    args = ("--lr_scheduler", step_lr, "--lr_scheduler.step_size", "1", "--trainer.max_epochs", "1")
    assert run("fit", *TINY, *args) == 0
    checkpoint = load(tmp_path / "runs/no_reg/seed_0")
    assert checkpoint["optimizer_states"][0]["param_groups"][0]["lr"] == pytest.approx(0.1 * 0.1**4)


def test_several_callbacks_can_be_named_in_one_config(run, tmp_path, capfd):
    config = tmp_path / "callbacks.yaml"
    config.write_text(
        yaml.safe_dump(
            {
                "trainer": {
                    "callbacks": [
                        {"class_path": "SingularValueBounding", "init_args": {"eps": 0.2}},
                        {"class_path": "pytorch_lightning.callbacks.DeviceStatsMonitor"},
                    ]
                }
            }
        )
    )
    callbacks = print_config(run, capfd, "--config", str(config))["trainer"]["callbacks"]
    assert callbacks[0]["init_args"]["eps"] == 0.2
    assert len(callbacks) == 2


def test_a_command_reads_no_signature_for_the_others(run, capfd, monkeypatch):
    read = []
    add = RegularizerCLI.add_arguments_to_parser
    monkeypatch.setattr(
        RegularizerCLI,
        "add_arguments_to_parser",
        lambda cli, parser: (read.append(parser), add(cli, parser)),
    )
    print_config(run, capfd)
    assert len(read) == 1


class FailInSecondEpoch(Callback):
    """Fails once; a run that continues has the same callbacks."""

    has_failed = False

    def on_train_epoch_start(self, trainer, pl_module):
        if trainer.current_epoch == 1 and not FailInSecondEpoch.has_failed:
            FailInSecondEpoch.has_failed = True
            raise RuntimeError("interrupted")


def load(run_folder):
    return torch.load(run_folder / "checkpoints/last.ckpt", weights_only=True)


def test_a_run_leaves_config_events_and_checkpoint_and_never_touches_a_finished_one(
    run, tmp_path, capfd
):
    assert run("fit", *TINY, "--trainer.max_epochs", "1") == 0
    first = tmp_path / "runs/no_reg/seed_0"
    names = {path.name.split(".")[0] for path in first.iterdir()}
    assert {"config", "events", "checkpoints", "results", "planes"} <= names
    before = load(first)["state_dict"]
    assert run("fit", *TINY, "--trainer.max_epochs", "1", "--model.optimizer.lr", "0.5") == 0
    torch.testing.assert_close(load(first)["state_dict"], before, rtol=0, atol=0)
    second = tmp_path / "runs/no_reg/seed_0_run_2"
    config = yaml.safe_load((second / "config.yaml").read_text())
    assert config["model"]["init_args"]["optimizer"]["init_args"]["lr"] == 0.5


def test_testing_a_run_keeps_the_config_that_trained_it(run, tmp_path):
    assert run("fit", *TINY, "--trainer.max_epochs", "1") == 0
    folder = tmp_path / "runs/no_reg/seed_0"
    before = (folder / "config.yaml").read_text()
    results = json.loads((folder / "results.json").read_text())
    (folder / "results.json").unlink()
    checkpoint = str(folder / "checkpoints/last.ckpt")
    assert run("test", *TINY, "--ckpt_path", checkpoint) == 0
    assert (folder / "config.yaml").read_text() == before
    again = json.loads((folder / "results.json").read_text())
    for key in ("test", "measurements", "history", "fingerprint", "facts"):
        assert again[key] == results[key]


def test_untrained_weights_leave_no_results(run, tmp_path):
    assert run("test", *TINY) == 0
    assert not list(tmp_path.rglob("results.json"))


def test_robustness_and_calibration_are_in_the_results(run, tmp_path):
    attacks = ("--robustness.num_images", "2", "--robustness.num_steps", "1")
    attacks += ("--robustness.distance_steps", "2")
    assert run("fit", *TINY, "--trainer.max_epochs", "1", *attacks) == 0
    results = json.loads((tmp_path / "runs/no_reg/seed_0/results.json").read_text())
    assert results["measurements"]["robustness"]["num_images"] == 2
    assert results["measurements"]["calibration"]["num_images"] == 10


def test_a_mistake_of_ours_is_told_with_its_traceback(monkeypatch, capsys, tmp_path):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    loader = "regularizer_collection.experiments.report.load_results"
    monkeypatch.setattr(loader, lambda *_: [{"measurements": {}}])
    assert main(["report", str(tmp_path)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    (log,) = tmp_path.glob("error_*.log")
    assert line == f"error: KeyError('variant'); traceback: {log}"
    assert "Traceback" in log.read_text()


@pytest.mark.counted
def test_a_fit_without_a_test_says_how_to_test_later(run, tmp_path, capsys):
    root = tmp_path / "my runs"
    short = ("--trainer.max_epochs", "1", "--trainer.default_root_dir", str(root))
    assert run("fit", *TINY, *short, "--test", "false") == 0
    folder = root / "no_reg" / "seed_0"
    assert not (folder / "results.json").exists()
    later = capsys.readouterr().out.split("no results yet: python cli.py ")[1]
    assert main(shlex.split(later)) == 0
    facts = json.loads((folder / "results.json").read_text())["facts"]
    assert facts == json.loads((folder / "run.json").read_text())["facts"]


def test_a_saved_config_repeats_the_run(run, tmp_path):
    assert run("fit", *TINY, "--trainer.max_epochs", "1", config="svb.yaml") == 0
    first = tmp_path / "runs/svb/seed_0"
    again = ["fit", "--config", str(first / "config.yaml"), "--allow_imports", "tests"]
    assert main(again) == 0
    torch.testing.assert_close(
        load(tmp_path / "runs/svb/seed_0_run_2")["state_dict"],
        load(first)["state_dict"],
        rtol=0,
        atol=0,
    )


def test_resuming_from_last_continues_schedule_bounding_and_shuffle(run, tmp_path):
    settings = (*TINY, "--model.every_n_steps", "3", "--trainer.max_epochs", "3")
    assert run("fit", *settings, config="svb.yaml") == 0
    whole = load(tmp_path / "runs/svb/seed_0")
    stopped = ("--variant", "stopped")
    interrupt = ("--trainer.callbacks", f"{__name__}.FailInSecondEpoch")
    assert run("fit", *settings, *stopped, *interrupt, config="svb.yaml") == 2
    assert load(tmp_path / "runs/stopped/seed_0")["epoch"] == 0
    again = (*stopped, *interrupt, "--ckpt_path", "last")
    assert run("fit", *settings, *again, config="svb.yaml") == 0
    resumed = load(tmp_path / "runs/stopped/seed_0")
    torch.testing.assert_close(resumed["state_dict"], whole["state_dict"], rtol=0, atol=0)
    assert resumed["lr_schedulers"] == whole["lr_schedulers"]
    assert resumed["global_step"] == whole["global_step"] == 12


@pytest.mark.parametrize(
    ("variant", "precision", "dtype"),
    [
        ("jacobi", "64-true", torch.float64),
        ("svb", "bf16-true", torch.bfloat16),
    ],
)
def test_a_run_takes_place_in_the_precision_that_is_asked_for(
    variant, precision, dtype, run, tmp_path
):
    args = ("--trainer.precision", precision, "--trainer.max_steps", "2")
    assert run("fit", *args, config=f"{variant}.yaml") == 0
    weights = load(tmp_path / "runs" / variant / "seed_0")["state_dict"].values()
    floats = [weight for weight in weights if weight.is_floating_point()]
    assert {weight.dtype for weight in floats} == {dtype}
    assert all(weight.isfinite().all() for weight in floats)


def test_predict_gives_probabilities(run):
    assert run("predict", "--trainer.fast_dev_run", "true") == 0


@pytest.mark.counted
@pytest.mark.parametrize(
    ("config", "args", "expected"),
    [
        ("jacobi.yaml", ("--model.lambda_jacobia", "1"), "did you mean lambda_jacobian?"),
        ("jacobi.yaml", ("--model.lambda_jacobian", "-1"), "lambda_jacobian is -1.0; give 0"),
        ("jacobi.yaml", ("--model.lambda_jacobian", "abc"), 'key "lambda_jacobian": Expected a fl'),
        ("jacobi.yaml", ("--model.num_projections", "0"), "num_projections is 0; give 1 or more"),
        ("jacobi.yaml", ("--model.every_n_steps", "0"), "every_n_steps is 0; give 1 or more"),
        ("svb.yaml", ("--model.eps", "0"), "eps is 0.0; give a number above 0"),
        ("svb.yaml", ("--model.every_n_steps", "0"), "every_n_steps is 0; give 1 or more"),
        ("l2.yaml", ("--model.weight_decay", "-1"), "weight_decay is -1.0; give 0 or more"),
        (
            "no_reg.yaml",
            ("--model.backbone.dropout", "1.5"),
            "dropout is 1.5; give a number from 0 to 1",
        ),
        ("no_reg.yaml", ("--trainer.max_epoch", "3"), "did you mean max_epochs?"),
        ("no_reg.yaml", ("--data.val_size", "400"), "val_size is 400, the training split has 80"),
        ("no_reg.yaml", ("--data.batchsize", "4"), "did you mean batch_size?"),
        ("jacoby.yaml", (), "no config jacoby.yaml here or in"),
        ("no_reg.yaml", ("--ckpt_path", "nowhere.ckpt"), "nowhere.ckpt"),
    ],
)
def test_bad_input_gets_one_line(config, args, expected, error):
    assert expected in error(*args, config=config)


def test_a_mistyped_config_name_gets_the_nearest_one(error):
    assert "did you mean jacobi.yaml?" in error(config="jacoby.yaml")


def test_missing_data_gets_one_line(tmp_path, error):
    cifar = ("--data", "CIFAR100DataModule", "--data.data_dir", str(tmp_path))
    assert "--config demo.yaml" in error(*cifar, "--data.download", "false")


def test_a_checkpoint_of_another_variant_gets_one_line(run, tmp_path, error):
    assert run("fit", *TINY, "--trainer.max_epochs", "1") == 0
    checkpoint = tmp_path / "runs/no_reg/seed_0/checkpoints/last.ckpt"
    line = error(*TINY, "--ckpt_path", str(checkpoint), command="test", config="l2.yaml")
    assert "holds NoRegClassifier, the config asks for L2Classifier" in line


def test_a_diverging_run_stops_and_keeps_the_last_good_checkpoint(run, tmp_path, error):
    every = ("--trainer.log_every_n_steps", "1")
    rates = ("--lr_scheduler", "torch.optim.lr_scheduler.StepLR", "--lr_scheduler.step_size", "4")
    line = error(*rates, "--lr_scheduler.gamma", "1e30", "--trainer.max_epochs", "3", *every)
    assert "not finite at step" in line
    assert "learning rate 1e+29" in line
    state = load(tmp_path / "runs/no_reg/seed_0")["state_dict"]
    assert all(torch.isfinite(value).all() for value in state.values())


def test_a_third_partys_data_set_plugs_in(run):
    class Blank(ImageDataModule):
        num_classes, mean, std = 100, (0.5, 0.5, 0.5), (0.5, 0.5, 0.5)

        def load(self, split):
            return torch.zeros(40, 32, 32, 3, dtype=torch.uint8), torch.arange(40)

    globals()["Blank"] = Blank
    Blank.__qualname__ = "Blank"
    assert run("fit", *TINY, "--data", f"{__name__}.Blank", "--data.batch_size", "20") == 0


def test_a_class_of_another_package_needs_leave(tmp_path, capfd):
    smoke = ["fit", "--config", "no_reg.yaml", "--config", "smoke.yaml"]
    assert main([*smoke, "--trainer.callbacks", "subprocess.Popen"]) == 2
    assert "give --allow_imports subprocess" in capfd.readouterr().err


def test_a_truncated_checkpoint_is_passed_over_when_a_run_continues(run, tmp_path):
    assert run("fit", *TINY, "--trainer.max_epochs", "3") == 0
    folder = tmp_path / "runs/no_reg/seed_0"
    whole = load(folder)["state_dict"]
    os.truncate(folder / "checkpoints/last.ckpt", 1000)
    with pytest.warns(UserWarning, match=r"previous.ckpt is used instead"):
        assert run("fit", *TINY, "--trainer.max_epochs", "3", "--ckpt_path", "last") == 0
    torch.testing.assert_close(load(folder)["state_dict"], whole, rtol=0, atol=0)


@pytest.mark.counted
def test_a_folder_in_use_gets_one_line(tmp_path, error):
    with run_lock(tmp_path / "runs/no_reg/seed_0"):
        assert "is in use by process" in error()
