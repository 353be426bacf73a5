"""What holds for every LightningModule; classes are found, not listed."""

import inspect
from collections import OrderedDict

import pytest
import torch
from pytorch_lightning.callbacks import ModelCheckpoint
from torch import nn
from torchvision.models.resnet import BasicBlock

from regularizer_collection import lightning_modules
from regularizer_collection.lightning_modules import Classifier
from tests.fake_gpu import fake_gpu
from tests.lightning_modules.test_classifier import Losses

# The trainings here are shorter than what a projection of weights waits for.
pytestmark = pytest.mark.filterwarnings("ignore:NormControl acts every 600 steps and never did")
MODULES = [
    cls
    for name in lightning_modules.__all__
    if inspect.isclass(cls := getattr(lightning_modules, name))
    and issubclass(cls, Classifier)
    and cls is not Classifier
]
# Losses of the first 5 steps. They guard against changes that nobody meant; a change that is meant
# replaces them.
GOLDEN_LOSSES = {
    "AdversarialClassifier": [5.2998, 5.216, 5.1782, 5.0459, 5.0678],
    "ConfidencePenaltyClassifier": [4.4206, 4.2946, 4.3173, 4.148, 4.1734],
    "CurvatureClassifier": [7.4694, 6.6806, 5.5852, 5.6025, 5.6268],
    "CutMixClassifier": [4.8348, 4.7472, 4.7678, 4.6003, 4.6978],
    "ElasticNetClassifier": [4.8739, 4.7497, 4.7717, 4.6023, 4.6277],
    "InputGradientClassifier": [4.8724, 4.7484, 4.7698, 4.6006, 4.6261],
    "InputNoiseClassifier": [4.8699, 4.7441, 4.7684, 4.5995, 4.6226],
    "JacobianClassifier": [4.8912, 4.7675, 4.7864, 4.6198, 4.6433],
    "L2Classifier": [4.8702, 4.7461, 4.7681, 4.5987, 4.6241],
    "LabelSmoothingClassifier": [4.8547, 4.7413, 4.7614, 4.61, 4.6328],
    "MixupClassifier": [4.7672, 4.7542, 4.7605, 4.605, 4.6854],
    "NoRegClassifier": [4.8702, 4.7461, 4.7681, 4.5987, 4.6241],
    "NormControlClassifier": [4.8702, 4.7461, 4.7681, 4.5987, 4.6241],
    "SAMClassifier": [4.9497, 4.8188, 4.8507, 4.6778, 4.6968],
    "SVBClassifier": [4.8702, 4.7518, 4.761, 4.6234, 4.6687],
    "SoftOrthogonalityClassifier": [4.8708, 4.7466, 4.7686, 4.5992, 4.6246],
    "SpectralNormPenaltyClassifier": [4.8844, 4.7628, 4.7861, 4.6175, 4.6434],
    "StochasticDepthClassifier": [4.9299, 4.7925, 4.8525, 4.6472, 4.6961],
    "TRADESClassifier": [4.9458, 4.8318, 4.8391, 4.6848, 4.7199],
    "VirtualAdversarialClassifier": [4.8752, 4.752, 4.7725, 4.6034, 4.6291],
    "WeightNoiseClassifier": [4.8725, 4.7442, 4.7669, 4.5966, 4.6247],
}


def build(cls):
    torch.manual_seed(0)
    layers = {
        "conv1": nn.Conv2d(3, 8, 3, stride=4, bias=False),
        "bn1": nn.BatchNorm2d(8),
        "layer1": BasicBlock(8, 8),
        "pool": nn.AdaptiveAvgPool2d(2),
        "flatten": nn.Flatten(),
        "dropout": nn.Dropout(0.2),
        "fc": nn.Linear(32, 100),
    }
    backbone = nn.Sequential(OrderedDict(layers))
    return cls(backbone=backbone, optimizer=lambda params: torch.optim.SGD(params, lr=0.01))


@pytest.mark.parametrize("cls", MODULES)
def test_golden_losses(cls, tiny_data, make_trainer):
    losses = Losses(make_trainer(max_steps=5), build(cls), tiny_data)
    torch.testing.assert_close(list(losses), GOLDEN_LOSSES[cls.__name__], rtol=2e-3, atol=0)


@pytest.mark.parametrize("cls", MODULES)
def test_golden_losses_on_another_device(cls, tiny_data, make_trainer, monkeypatch):
    with fake_gpu(monkeypatch):
        losses = Losses(make_trainer(max_steps=5), build(cls), tiny_data)
    torch.testing.assert_close(list(losses), GOLDEN_LOSSES[cls.__name__], rtol=2e-3, atol=0)


@pytest.mark.parametrize("cls", MODULES)
def test_a_run_resumed_in_mid_epoch_ends_bit_for_bit_as_one_that_was_not(
    cls, tiny_data, make_trainer, tmp_path
):
    def trainer():
        checkpoint = ModelCheckpoint(
            tmp_path, filename="{step}", every_n_train_steps=4, save_top_k=-1, save_last=False
        )
        return make_trainer(max_epochs=2, enable_checkpointing=True, callbacks=[checkpoint])

    whole, resumed = build(cls), build(cls)
    whole_losses = Losses(trainer(), whole, tiny_data)
    losses = Losses(trainer(), resumed, tiny_data, ckpt_path=tmp_path / "step=4.ckpt")
    assert losses == whole_losses[4:]
    for ours, theirs in zip(resumed.parameters(), whole.parameters(), strict=True):
        assert torch.equal(ours, theirs)


@pytest.mark.parametrize("cls", MODULES)
def test_fifty_steps_in_bf16_mixed_stay_finite(cls, tiny_data, make_trainer):
    trainer = make_trainer(max_steps=50, precision="bf16-mixed")
    losses = Losses(trainer, build(cls), tiny_data)
    assert len(losses) == 50
    assert torch.tensor(losses).isfinite().all()


@pytest.mark.parametrize("cls", MODULES)
def test_float16_is_refused_where_a_step_differentiates_before_the_loss(
    cls, tiny_data, make_trainer, monkeypatch
):
    trainer, model = make_trainer(max_steps=1), build(cls)
    monkeypatch.setattr(type(trainer), "precision", "16-mixed")
    if any(regularizer.takes_gradients for regularizer in model.regularizers):
        with pytest.raises(ValueError, match=r"trainer\.precision is 16-mixed, whose scaled loss"):
            trainer.fit(model, tiny_data)
    else:
        trainer.fit(model, tiny_data)
