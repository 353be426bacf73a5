import copy
from functools import partial

import pytest
import torch
from torch import nn
from torch.optim import SGD

from regularizer_collection.callbacks import NormControl
from regularizer_collection.callbacks.running_statistics import reestimate_running_statistics
from regularizer_collection.functional.normalised_weights import normalised_weights
from regularizer_collection.lightning_modules import (
    NoRegClassifier,
    NormControlClassifier,
    ResNet18,
)
from regularizer_collection.regularizers.second_pass import eval_mode


def classifier(**kwargs):
    torch.manual_seed(0)
    backbone = nn.Sequential(
        *(nn.Conv2d(3, 4, 3, bias=False), nn.BatchNorm2d(4), nn.ReLU()),
        *(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 100)),
    )
    return NormControlClassifier(backbone=backbone, optimizer=partial(SGD, lr=2.0), **kwargs)


def test_weights_before_a_batch_normalisation_get_their_norm_back(tiny_data, make_trainer):
    model = classifier(every_n_steps=6)
    first, last = model.backbone[0].weight.norm().item(), model.backbone[5].weight.norm().item()
    make_trainer(max_epochs=1).fit(model, tiny_data)
    assert model.backbone[0].weight.norm().item() == pytest.approx(first, rel=1e-6)
    assert model.backbone[5].weight.norm().item() != pytest.approx(last, rel=1e-3)


def test_it_acts_at_multiples_of_its_steps_alone(tiny_data, make_trainer):
    model, acted = classifier(every_n_steps=4), []
    project = model.norm_control.project_all_
    model.norm_control.project_all_ = lambda *args: (
        acted.append(model.norm_control.last_step),
        project(*args),
    )
    make_trainer(max_epochs=2).fit(model, tiny_data)
    assert acted == [4, 8, 12]


def test_a_training_too_short_for_it_is_told(tiny_data, make_trainer):
    with pytest.warns(
        UserWarning, match=r"NormControl acts every 600 steps and never did in the 6"
    ):
        make_trainer(max_epochs=1).fit(classifier(), tiny_data)


def test_the_network_computes_what_it_did():
    torch.manual_seed(0)
    network = ResNet18(num_classes=5).double()
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eps = 1e-12
    batches = torch.randn(10, 16, 3, 32, 32, dtype=torch.float64)
    control = NormControl()
    with eval_mode(network):
        control.initial_norms = dict.fromkeys(normalised_weights(network, batches[0]), 2.0)
    scaled = copy.deepcopy(network)
    control.project_all_(scaled)
    for model in (network, scaled):
        reestimate_running_statistics(model, batches)
    assert scaled.conv1.weight.norm().item() == pytest.approx(2.0)
    ours, theirs = scaled.eval()(batches[0]), network.eval()(batches[0])
    torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-6)


def test_a_resumed_run_keeps_the_norms_of_its_start(tiny_data, make_trainer, tmp_path):
    first = make_trainer(max_epochs=1)
    first.fit(classifier(every_n_steps=4), tiny_data)
    first.save_checkpoint(tmp_path / "half.ckpt")
    resumed = classifier(every_n_steps=4)
    initial = resumed.backbone[0].weight.norm().item()
    with torch.no_grad():
        resumed.backbone[0].weight.mul_(7)
    make_trainer(max_epochs=2).fit(resumed, tiny_data, ckpt_path=tmp_path / "half.ckpt")
    assert resumed.norm_control.initial_norms["0"] == pytest.approx(initial)
    assert resumed.norm_control.last_step == 12
    assert resumed.backbone[0].weight.norm().item() == pytest.approx(initial, rel=1e-6)


def test_a_network_without_batch_normalisation_is_refused(tiny_data, make_trainer):
    model = NormControlClassifier(backbone=nn.Sequential(nn.Flatten(), nn.Linear(3072, 100)))
    with pytest.raises(ValueError, match="Sequential has no weight before a batch normalisation"):
        make_trainer(max_epochs=1).fit(model, tiny_data)


def test_refuses_wrong_arguments():
    with pytest.raises(ValueError, match="every_n_steps is 0; give 1 or more"):
        NormControlClassifier(every_n_steps=0)


def test_the_norms_of_a_second_training_are_those_of_its_own_network(tiny_data, make_trainer):
    control = NormControl(every_n_steps=6)
    for seed in (0, 1):
        torch.manual_seed(seed)
        backbone = nn.Sequential(
            *(nn.Conv2d(3, 4, 3, bias=False), nn.BatchNorm2d(4), nn.ReLU()),
            *(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 100)),
        )
        first = backbone[0].weight.norm().item()
        model = NoRegClassifier(backbone=backbone, optimizer=partial(SGD, lr=2.0))
        make_trainer(max_epochs=1, callbacks=[control]).fit(model, tiny_data)
        assert backbone[0].weight.norm().item() == pytest.approx(first, rel=1e-6)


def test_norms_of_a_compiled_backbone_are_taken_from_older_checkpoints():
    control = NormControl()
    control.load_state_dict({"last_step": 0, "initial_norms": {"_orig_mod.0": 2.0, "3": 1.0}})
    assert control.initial_norms == {"0": 2.0, "3": 1.0}
