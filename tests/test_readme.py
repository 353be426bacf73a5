"""What README tells its reader to type."""

import json
import re
import shlex

import pytest

from regularizer_collection.__main__ import main
from regularizer_collection.experiments.run import PROJECT

README = (PROJECT / "README.md").read_text()


def blocks(language):
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


COMMANDS = [
    shlex.split(line, comments=True)[2:]
    for block in blocks("bash")
    for line in block.splitlines()
    if line.startswith("python cli.py")
]
FITS = [command for command in COMMANDS if command[0] == "fit"]


@pytest.fixture
def own_files(tmp_path, monkeypatch):
    """The two files of the section on a regularizer of one's own, in an otherwise empty folder."""
    monkeypatch.chdir(tmp_path)
    (penalty,) = (block for block in blocks("python") if "class LogitNorm" in block)
    (config,) = (block for block in blocks("yaml") if "LogitNorm" in block)
    (tmp_path / "my_penalties.py").write_text(penalty)
    (tmp_path / "logit_norm.yaml").write_text(config)
    return tmp_path


def test_a_key_of_ones_own_leaves_the_inherited_ones(own_files):
    (key,) = (block for block in blocks("python") if "ceiling" in block)
    penalty = (own_files / "my_penalties.py").read_text()
    config = (own_files / "logit_norm.yaml").read_text().replace("my_penalties", "with_a_key")
    # A name of its own, as a module stays imported for the tests that follow.
    (own_files / "with_a_key.py").write_text(f"{penalty}\n{key}")
    (own_files / "with_a_key.yaml").write_text(
        f"{config}          ceiling: 3.0\n          every_n_steps: 2\n"
    )
    command = ["fit", "--config", "with_a_key.yaml", "--allow_imports", "with_a_key"]
    assert main([*command, "--config", "smoke.yaml", "--trainer.fast_dev_run", "true"]) == 0


@pytest.mark.parametrize("command", FITS, ids=" ".join)
def test_every_fit_is_understood(command, own_files, capsys):
    command = [word for word in command if word not in ("--ckpt_path", "last")]
    with pytest.raises(SystemExit) as ended:
        main([*command, "--print_config"])
    assert ended.value.code == 0
    assert "class_path" in capsys.readouterr().out


def test_a_regularizer_of_ones_own_trains_and_has_its_row(own_files, preloaded):
    (fit,) = (command for command in FITS if "logit_norm.yaml" in command)
    assert main([*fit, "--trainer.enable_progress_bar", "false", "--trainer.max_epochs", "1"]) == 0
    (study,) = (c for c in COMMANDS if c[0] == "study" and "no_reg,logit_norm.yaml" in c)
    one_seed = ["0" if word == "0,1,2" else word for word in study]
    short = ["--overlay", "smoke.yaml", "--epochs", "1", "--root", "study"]
    assert main([*one_seed, *short]) == 0
    assert main(["report", "study"]) == 0
    results = json.loads((own_files / "study/logit_norm/seed_0/results.json").read_text())
    assert results["variant"] == "logit_norm"
    settings = json.dumps(results["identity"]["settings"])
    assert "LogitNorm" in settings
    assert "logit_norm" in (own_files / "report" / "report.md").read_text()


def test_the_studys_commands_run(own_files, preloaded):
    (study,) = (c for c in COMMANDS if c[0] == "study" and "demo.yaml" in c)
    smoke = ["smoke.yaml" if word == "demo.yaml" else word for word in study]
    short = ["l2" if word == "svb,l2" else "0" if word == "0,1" else word for word in smoke]
    assert main(short) == 0
    (report,) = (c for c in COMMANDS if c[0] == "report")
    assert main(["demo" if word == "runs" else word for word in report]) == 0
    assert (own_files / "report" / "index.html").is_file()


def test_every_variant_has_its_card():
    from tests.test_configs import VARIANTS

    cards = README[README.index("## In the box") : README.index("## Compare")]
    assert [name for name in VARIANTS if f"`{name}`" not in cards] == []
