"""What holds for the config of every variant; configs are found, not listed."""

import pytest
import yaml

from regularizer_collection.__main__ import main
from regularizer_collection.callbacks.dashboard import Dashboard
from regularizer_collection.regularizers import Penalty, Step
from regularizer_collection.runtime.config_files import DEFAULTS, FOLDER
from regularizer_collection.runtime.launch import ParsedCommand, launch

CONFIGS = {p.stem: yaml.safe_load(p.read_text()) for p in FOLDER.glob("*.yaml") if p != DEFAULTS}
VARIANTS = sorted(
    name for name, config in CONFIGS.items() if "class_path" in config.get("model", {})
)


def test_the_source_experiments_variants_are_there():
    assert {"jacobi", "jacobi_no_dropout", "l2", "no_reg", "svb"} <= set(VARIANTS)


@pytest.mark.parametrize("variant", VARIANTS)
def test_every_variant_trains_and_is_tested(variant, tmp_path, monkeypatch):
    # Jacobian norm and spectra, which take as long as the rest, whatever the variant.
    monkeypatch.setattr(Dashboard, "on_train_epoch_end", lambda *_: None)
    configs = ("--config", f"{variant}.yaml", "--config", "smoke.yaml", "--data.batch_size", "20")
    folder = ("--trainer.default_root_dir", str(tmp_path))
    assert main(["fit", *configs, *folder, "--trainer.fast_dev_run", "true"]) == 0


@pytest.mark.parametrize("variant", VARIANTS)
def test_every_head_comment_gives_the_command(variant):
    command = f"# python cli.py fit --config {variant}.yaml"
    assert (FOLDER / f"{variant}.yaml").read_text().startswith(command)


class CommandWithModel(ParsedCommand):
    def instantiate_classes(self):
        self.model = self.parser.instantiate_classes(self.config)["fit.model"]


def last_regularizer(*configs):
    """The class, arguments and, of a penalty, weights in some steps."""
    args = [arg for config in configs for arg in ("--config", f"{config}.yaml")]
    model = launch(["fit", *args, "--variant", "any"], CommandWithModel).model
    regularizer = model.regularizers[-1]
    kept = {k: v for k, v in vars(regularizer).items() if not k.startswith("_")}
    steps = [
        Step(None, 100, global_step=n, penalty_warmup_steps=model.penalty_warmup_steps)
        for n in (1, 100, 600)
    ]
    if isinstance(regularizer, Penalty):
        del kept["warmup_steps"]
        kept["weights"] = [regularizer.weight(step) for step in steps]
    return type(regularizer), kept


@pytest.mark.counted
@pytest.mark.parametrize("base", ["no_reg", "jacobi"])
@pytest.mark.parametrize("added", sorted(n for n in CONFIGS if n.startswith("with_")))
def test_a_config_that_adds_a_regularizer_adds_that_of_the_variant_warm_up_and_all(added, base):
    assert last_regularizer(base, added) == last_regularizer(added.removeprefix("with_"))
