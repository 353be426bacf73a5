"""What holds for the config of every variant; configs are found, not listed."""

import pytest
import yaml

from regularizer_collection.__main__ import main
from regularizer_collection.callbacks.dashboard import Dashboard
from regularizer_collection.runtime.config_files import DEFAULTS, FOLDER

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
