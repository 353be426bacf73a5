import pytest
import torch
from pytorch_lightning import Callback

from regularizer_collection.__main__ import main
from regularizer_collection.callbacks.dashboard import Dashboard
from tests.test_cli import load

# One of each kind of derivative that the fast layers must have; test_every_module.py takes 50 steps
# with every module on a small network.
VARIANTS = {
    "no_reg": (),
    "svb": ("--model.every_n_steps", "20"),
    "jacobi": (),
    "curvature": (),
    "sam": (),
    "trades": ("--model.num_steps", "2"),
    "virtual_adversarial": (),
}


class EveryLossIsFinite(Callback):
    """Counts the steps whose loss is finite, and stops at the first that is not."""

    steps = 0

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        assert torch.isfinite(outputs["loss"])
        EveryLossIsFinite.steps += 1


@pytest.mark.parametrize("variant", VARIANTS)
def test_the_fast_layers_take_20_finite_steps_in_bf16_mixed_precision(
    variant, tmp_path, monkeypatch
):
    monkeypatch.setattr(EveryLossIsFinite, "steps", 0)
    # Neither is a step, and each takes as long as several.
    monkeypatch.setattr(Dashboard, "on_train_epoch_end", lambda *_: None)
    monkeypatch.setattr("regularizer_collection.lightning_modules.classifier._WATCHED_STEPS", 5)
    args = (
        *("--config", f"{variant}.yaml", "--config", "smoke.yaml"),
        *("--trainer.default_root_dir", str(tmp_path), "--trainer.enable_progress_bar", "false"),
        *("--trainer.precision", "bf16-mixed", "--trainer.max_epochs", "1", "--test", "false"),
        # Smaller batches diverge in float32 too, as the last maps are single pixels.
        *("--data.train_size", "200", "--data.test_size", "20", "--data.batch_size", "10"),
        *("--trainer.limit_val_batches", "0", "--evaluation.num_planes", "1"),
        *("--allow_imports", "tests", "--trainer.callbacks", f"{__name__}.EveryLossIsFinite"),
        *VARIANTS[variant],
    )
    assert main(["fit", *args]) == 0
    assert EveryLossIsFinite.steps == 20
    weights = load(tmp_path / variant / "seed_0")["state_dict"].values()
    assert all(weight.dtype != torch.bfloat16 and weight.isfinite().all() for weight in weights)
    if variant == "svb":
        for weight in (weight for weight in weights if weight.ndim >= 2):
            sigma = torch.linalg.svdvals(weight.flatten(1).double())
            assert sigma.min() > 1 / 1.05 - 1e-4
            assert sigma.max() < 1.05 + 1e-4
