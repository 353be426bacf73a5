"""Command lines that people write, and what each must do."""

import sys

import pytest
import yaml

from regularizer_collection.__main__ import main

SMOKE = ("--config", "no_reg.yaml", "--config", "smoke.yaml")


@pytest.fixture
def here(tmp_path, monkeypatch):
    """An empty current folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def config_of(capfd):
    """Parses a command line and returns the config it comes to."""

    def config_of(*args):
        with pytest.raises(SystemExit) as stop:
            main([*args, "--print_config"])
        assert stop.value.code == 0
        return yaml.safe_load(capfd.readouterr().out)

    return config_of


@pytest.fixture
def error(capfd):
    """Runs a command line that must be refused, and returns its one line."""

    def error(*args):
        assert main([*args]) == 2
        (line,) = (o for o in capfd.readouterr().err.splitlines() if o.startswith("error: "))
        return line

    return error


def write(path, content):
    path.write_text(content if isinstance(content, str) else yaml.safe_dump(content))


class TestForeignCode:
    """A config runs code of a package only when the command line trusts it."""

    @pytest.fixture(autouse=True)
    def foreign_package(self, here):
        write(here / "foreign.py", "from torch import nn\n\n\nclass Net(nn.Module):\n    pass\n")
        write(here / "net.yaml", {"class_path": "foreign.Net"})
        no_reg = "lightning_modules.NoRegClassifier"
        model = {"class_path": no_reg, "init_args": {"backbone": "foreign.Net"}}
        write(here / "model.yaml", model)
        write(here / "fit.yaml", {"model": model})
        write(here / "nested.yaml", {"model": "model.yaml"})
        yield
        sys.modules.pop("foreign", None)

    SPELLINGS = (
        ("--config", "fit.yaml"),
        ("--config=fit.yaml",),
        ("-c", "fit.yaml"),
        ("-c=fit.yaml",),
        ("-cfit.yaml",),
        ("--config", "nested.yaml"),
        ("--config", "{model: model.yaml}"),
        ("--model", "model.yaml"),
        ("--model.backbone", "foreign.Net"),
        ("--model.backbone", "net.yaml"),
        ("--model.init_args.backbone=net.yaml",),
        ("--data", "net.yaml"),
        ("--optimizer", "foreign.Net"),
        ("--lr_scheduler", "foreign.Net"),
        ("--trainer.callbacks", "net.yaml"),
        ("--trainer.callbacks+=foreign.Net",),
        ("--trainer.logger", "foreign.Net"),
        ("--trainer.plugins", "[foreign.Net]"),
    )

    @pytest.mark.parametrize("spelling", SPELLINGS, ids=" ".join)
    def test_is_refused_by_name_and_not_imported(self, spelling, error):
        line = error("fit", *SMOKE, *spelling, "--print_config")
        assert "foreign.Net is of no package that a config may use" in line
        assert line.endswith("if you trust it, give --allow_imports foreign")
        assert "foreign" not in sys.modules

    @pytest.mark.parametrize(
        "leave", [("--allow_imports", "foreign"), ("--allow_imports=foreign",)]
    )
    def test_of_the_current_folder_is_used_when_trusted_for_this_command_alone(
        self, leave, config_of, error
    ):
        config = config_of("fit", *SMOKE, "-c", "fit.yaml", *leave)
        assert config["model"]["init_args"]["backbone"]["class_path"] == "foreign.Net"
        assert "--allow_imports foreign" in error("fit", *SMOKE, "-c", "fit.yaml")

    def test_cannot_be_trusted_by_a_config(self, here, error):
        write(here / "leave.yaml", {"allow_imports": "foreign"})
        assert "allow_imports" in error("fit", *SMOKE, "-c", "leave.yaml", "-c", "fit.yaml")

    def test_hides_behind_no_trusted_module(self, error):
        line = error("fit", *SMOKE, "--trainer.callbacks", "torch.os.system")
        assert "give --allow_imports" in line

    def test_that_is_no_class_needs_no_leave(self, config_of, here):
        (here / "runs").mkdir()
        names = ("--variant", "test.lr01", "--trainer.default_root_dir", "runs.old")
        assert config_of("fit", *SMOKE, *names)["variant"] == "test.lr01"


class TestForms:
    """LightningCLI's documentation and jsonargparse's allow these; all mean the same."""

    @pytest.mark.parametrize(
        "args",
        [
            ("fit", "--config", "svb.yaml", "--config", "smoke.yaml"),
            ("fit", "--config=svb.yaml", "--config=smoke.yaml"),
            ("fit", "-c", "svb.yaml", "-c", "smoke.yaml"),
            ("--config", "svb.yaml", "-c=smoke.yaml", "fit"),
            ("--config", "svb.yaml", "fit", "--config", "smoke.yaml"),
        ],
        ids=" ".join,
    )
    def test_of_naming_a_config(self, args, config_of):
        config = config_of(*args)
        assert config["model"]["class_path"].endswith("lightning_modules.SVBClassifier")
        assert config["data"]["class_path"].endswith("datamodules.Shapes100DataModule")
        assert config["variant"] == "svb"

    def test_of_a_file_for_several_commands(self, here, config_of):
        write(here / "all.yaml", {"fit": {"seed_everything": 3}, "test": {"seed_everything": 4}})
        for command, seed in (("fit", 3), ("test", 4)):
            config = config_of("-c", "all.yaml", command, "-c", "smoke.yaml")
            assert config["seed_everything"] == seed

    @pytest.mark.parametrize("key", ["optimizer", "model.optimizer"])
    def test_of_an_optimizer_on_the_command_line(self, key, config_of):
        config = config_of("fit", *SMOKE, f"--{key}=torch.optim.Adam", f"--{key}.lr", "0.5")
        optimizer = config["model"]["init_args"]["optimizer"]
        assert optimizer["class_path"] == "torch.optim.Adam"
        assert optimizer["init_args"]["lr"] == 0.5

    def test_of_optimizer_and_schedule_at_the_top_of_a_file(self, here, config_of):
        adam = {"class_path": "torch.optim.Adam", "init_args": {"lr": 0.5}}
        step = {"class_path": "torch.optim.lr_scheduler.StepLR", "init_args": {"step_size": 3}}
        write(here / "top.yaml", {"optimizer": adam, "lr_scheduler": step})
        write(here / "rate.yaml", {"optimizer": {"init_args": {"lr": 0.25}}})
        model = config_of("fit", *SMOKE, "-c", "top.yaml", "-c", "rate.yaml")["model"]["init_args"]
        assert model["optimizer"]["class_path"] == "torch.optim.Adam"
        assert model["optimizer"]["init_args"]["lr"] == 0.25
        assert model["lr_scheduler"]["init_args"]["step_size"] == 3

    def test_of_a_missing_config_names_the_nearest(self, error):
        assert "did you mean jacobi.yaml?" in error("fit", "-c", "jacoby.yaml")

    def test_a_config_of_the_current_folder_is_suggested(self, here, error):
        (here / "bright_margin.yaml").write_text("{}")
        assert "did you mean bright_margin.yaml?" in error("fit", "-c", "bright_margni.yaml")


@pytest.mark.parametrize(
    "key",
    [
        *("seed_everything", "variant", "test", "trainer", "evaluation", "robustness"),
        *("model.init_args.optimizer", "model.init_args.lr_scheduler"),
    ],
)
def test_what_a_run_cannot_be_without_is_named_where_a_config_says_null(key, here, error):
    content = None
    for name in reversed(key.split(".")):
        content = {name: content}
    write(here / "null.yaml", content)
    assert error("fit", *SMOKE, "--config", "null.yaml") == (
        f"error: {key} is null; give it a value, or leave it out to have the default"
    )


class TestHelp:
    @pytest.mark.parametrize("args", [(), ("--help",), ("-h",)])
    def test_names_all_commands(self, args, capfd):
        with pytest.raises(SystemExit):
            main(list(args))
        printed = capfd.readouterr().out
        for command in ("fit", "validate", "test", "predict", "study", "report"):
            assert command in printed


class TestName:
    """A run is filed under a name that says what was trained."""

    OWN = ("--config", "own.yaml", "--config", "smoke.yaml")

    @pytest.mark.parametrize(
        ("files", "name"),
        [
            (("svb.yaml", "smoke.yaml"), "svb"),
            (("smoke.yaml", "svb.yaml"), "smoke_svb"),
            (("svb.yaml", "with_mixup.yaml"), "svb_mixup"),
            (("svb.yaml", "with_mixup.yaml", "smoke.yaml", "larger.yaml"), "svb_mixup_larger"),
            (("svb.yaml", "named.yaml", "with_mixup.yaml"), "mine"),
        ],
    )
    def test_follows_the_files_that_change_the_model(self, files, name, here, config_of):
        write(here / "with_mixup.yaml", {"model": {"init_args": {"lr_interval": "epoch"}}})
        write(here / "larger.yaml", {"optimizer": {"init_args": {"lr": 0.3}}})
        write(here / "named.yaml", {"variant": "mine"})
        args = [arg for file in files for arg in ("--config", file)]
        assert config_of("fit", *args)["variant"] == name
        assert config_of("fit", *args, "--variant", "given")["variant"] == "given"

    @pytest.mark.parametrize(
        ("change", "asked"),
        [
            (("--model", "SVBClassifier"), "SVBClassifier"),
            (("--model.class_path=SVBClassifier",), "SVBClassifier"),
            (("--model.regularizers+", "JacobianPenalty"), "NoRegClassifier with JacobianPenalty"),
        ],
    )
    def test_must_be_given_where_the_command_line_regularizes_otherwise(self, change, asked, error):
        line = error("fit", *SMOKE, *change)
        assert line == (
            f"error: the command line asks for {asked}, which no_reg is not; give --variant NAME"
        )

    @pytest.mark.parametrize(
        ("args", "asked", "name"),
        [
            (("jacobi.yaml", "svb.yaml"), "SVBClassifier", "jacobi"),
            (("l2.yaml", "jacobi.yaml", "smoke.yaml"), "JacobianClassifier", "l2"),
            (
                ("no_reg.yaml", '{"model": {"class_path": "SVBClassifier"}}'),
                "SVBClassifier",
                "no_reg",
            ),
            (("saved.yaml", "with_mixup.yaml"), "NoRegClassifier with Mixup", "no_reg"),
        ],
    )
    def test_must_be_given_where_configs_regularize_each_in_a_way_of_its_own(
        self, args, asked, name, here, error
    ):
        write(
            here / "saved.yaml", {"variant": "no_reg", "model": {"class_path": "NoRegClassifier"}}
        )
        line = error("fit", *(arg for config in args for arg in ("--config", config)))
        assert line == (
            f"error: the command line asks for {asked}, which {name} is not; give --variant NAME"
        )

    def test_must_be_given_where_what_regularizes_stands_before_the_config(self, error):
        line = error("fit", "--model.regularizers+", "Mixup", *SMOKE)
        assert line.endswith(
            "asks for NoRegClassifier with Mixup, which no_reg is not; give --variant NAME"
        )

    def test_of_a_saved_config_is_not_that_of_another_model(self, here, error):
        write(
            here / "saved.yaml", {"variant": "no_reg", "model": {"class_path": "NoRegClassifier"}}
        )
        line = error("fit", "--config", "saved.yaml", "--model", "SVBClassifier")
        assert line.endswith("asks for SVBClassifier, which no_reg is not; give --variant NAME")

    def test_may_be_given_then(self, config_of):
        config = config_of("fit", *SMOKE, "--model", "SVBClassifier", "--variant", "mine")
        assert config["variant"] == "mine"
