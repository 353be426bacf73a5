from types import SimpleNamespace

import pytest
import torch
from pytorch_lightning import LightningModule
from torch import nn
from torch.nn.utils.parametrizations import weight_norm

from regularizer_collection.callbacks import SingularValueBounding, StopOnNonFiniteLoss
from regularizer_collection.lightning_modules import NoRegClassifier, SVBClassifier


class Recorder(SingularValueBounding):
    """Notes the optimizer step at each bounding."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.steps = []

    def project_all_(self, *args):
        self.steps.append(self.last_step)
        super().project_all_(*args)


def small_classifier(cls=NoRegClassifier, **kwargs):
    backbone = nn.Sequential(nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    return cls(backbone=nn.Sequential(backbone, nn.Linear(4, 100)), **kwargs)


def test_every_singular_value_lies_in_the_band_afterwards():
    model = small_classifier()
    SingularValueBounding(eps=0.05).project_all_(model)
    for weight in (p for p in model.parameters() if p.ndim >= 2):
        sigma = torch.linalg.svdvals(weight.flatten(1))
        assert sigma.min() >= 1 / 1.05 - 1e-4
        assert sigma.max() <= 1.05 + 1e-4


@pytest.mark.parametrize(("bound_at_start", "steps"), [(True, [1, 4, 8, 12]), (False, [4, 8, 12])])
def test_acts_after_every_nth_optimizer_step(bound_at_start, steps, tiny_data, make_trainer):
    recorder = Recorder(every_n_steps=4, bound_at_start=bound_at_start)
    make_trainer(max_epochs=2, callbacks=[recorder]).fit(small_classifier(), tiny_data)
    assert recorder.steps == steps


def test_gradient_accumulation_counts_optimizer_steps_and_bounds_once(tiny_data, make_trainer):
    recorder = Recorder(every_n_steps=2, bound_at_start=False)
    trainer = make_trainer(max_epochs=2, callbacks=[recorder], accumulate_grad_batches=3)
    trainer.fit(small_classifier(), tiny_data)
    assert trainer.global_step == 4
    assert recorder.steps == [2, 4]


def test_a_resumed_run_continues_the_count(tiny_data, make_trainer, tmp_path):
    first = make_trainer(max_epochs=1, callbacks=[Recorder(every_n_steps=4)])
    first.fit(small_classifier(), tiny_data)
    first.save_checkpoint(tmp_path / "half.ckpt")
    recorder = Recorder(every_n_steps=4)
    trainer = make_trainer(max_epochs=2, callbacks=[recorder])
    trainer.fit(small_classifier(), tiny_data, ckpt_path=tmp_path / "half.ckpt")
    assert recorder.steps == [8, 12]


def test_a_run_resumed_while_it_accumulates_does_not_bound_the_same_step_again():
    recorder = Recorder(every_n_steps=4)
    recorder.load_state_dict({"last_step": 4})
    trainer = SimpleNamespace(global_step=4, global_rank=0, world_size=1)
    recorder.on_train_batch_end(trainer, small_classifier())
    assert recorder.steps == []


def test_the_svb_module_attaches_the_callback_itself(tiny_data, make_trainer):
    model = small_classifier(SVBClassifier, eps=0.1, every_n_steps=6)
    make_trainer(max_epochs=1).fit(model, tiny_data)
    sigma = torch.linalg.svdvals(model.backbone[1].weight)
    assert sigma.max() <= 1.1 + 1e-4
    assert sigma.min() >= 1 / 1.1 - 1e-4


def test_a_bounding_of_the_users_beside_the_modules_own_is_refused(tiny_data, make_trainer):
    trainer = make_trainer(max_epochs=1, callbacks=[SingularValueBounding(eps=9)])
    with pytest.raises(ValueError, match="SVBClassifier brings its own SingularValueBounding"):
        trainer.fit(small_classifier(SVBClassifier), tiny_data)


def test_only_the_backbone_is_bounded(tiny_data, make_trainer):
    model = small_classifier(SVBClassifier)
    model.centres = nn.Parameter(5 * torch.eye(4))
    model.backbone.register_forward_hook(
        lambda module, args, output: output + 0 * model.centres[0, 0]
    )
    make_trainer(max_epochs=1).fit(model, tiny_data)
    torch.testing.assert_close(model.centres.detach(), 5 * torch.eye(4))


def test_orthogonal_init_starts_from_singular_values_of_one():
    model = small_classifier(SVBClassifier, orthogonal_init=True)
    sigma = torch.linalg.svdvals(model.backbone[1].weight)
    torch.testing.assert_close(sigma, torch.ones(4))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"eps": 0.0}, "eps is 0.0; give a number above 0"),
        ({"every_n_steps": 0}, "every_n_steps is 0; give 1 or more"),
    ],
)
@pytest.mark.parametrize("cls", [SingularValueBounding, SVBClassifier])
def test_refuses_wrong_arguments(cls, arguments, message):
    with pytest.raises(ValueError, match=message):
        cls(**arguments)


def test_running_statistics_are_those_of_the_bounded_weights(tiny_data, make_trainer):
    torch.manual_seed(0)
    backbone = nn.Sequential(
        *(nn.Conv2d(3, 8, 3, bias=False), nn.BatchNorm2d(8), nn.ReLU()),
        *(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 100)),
    )
    with torch.no_grad():
        backbone[0].weight.mul_(50)
    model = SVBClassifier(backbone=backbone, every_n_steps=6)
    make_trainer(max_epochs=1).fit(model, tiny_data)
    images = tiny_data.normalize(tiny_data.images_and_labels("train")[0])
    features = backbone[0](images)
    torch.testing.assert_close(
        backbone[1].running_var, features.var((0, 2, 3)), rtol=0.2, atol=1e-3
    )


@pytest.mark.filterwarnings("ignore:Found 1 module")  # which is what is tested
def test_what_is_frozen_or_no_layers_weight_stays_as_it_is(make_trainer, tiny_data):
    model = small_classifier()
    frozen = model.backbone[0][0]
    frozen.requires_grad_(False)
    model.backbone.register_parameter("token", nn.Parameter(torch.zeros(2, 3)))
    norm = nn.BatchNorm2d(3).eval().requires_grad_(False)
    model.backbone[0].insert(0, norm)
    before = frozen.weight.clone()
    bounding = SingularValueBounding(every_n_steps=2)
    norm.train = lambda mode=True: norm
    make_trainer(max_epochs=1, callbacks=[bounding]).fit(model, tiny_data)
    assert torch.equal(frozen.weight, before)
    assert torch.equal(model.backbone.token, torch.zeros(2, 3))
    assert torch.equal(norm.running_mean, torch.zeros(3))


def test_a_weight_that_is_computed_from_others_is_refused():
    network = nn.Sequential(nn.Linear(3, 3), weight_norm(nn.Linear(3, 3)))
    with pytest.raises(ValueError, match="1 computes its weight from other parameters"):
        SingularValueBounding().project_all_(network)


def test_one_callback_bounds_the_networks_of_two_trainings(tiny_data, make_trainer):
    recorder = Recorder(every_n_steps=600)
    for _ in range(2):
        make_trainer(max_epochs=1, callbacks=[recorder]).fit(small_classifier(), tiny_data)
    assert recorder.steps == [1, 1]


def test_a_training_that_goes_on_projects_where_it_would_have(tiny_data, make_trainer):
    recorder = Recorder(every_n_steps=4, bound_at_start=True)
    trainer, model = make_trainer(max_epochs=1, callbacks=[recorder]), small_classifier()
    trainer.fit(model, tiny_data)
    trainer.fit_loop.max_epochs = 2
    trainer.fit(model, tiny_data)
    assert recorder.steps == [1, 4, 8, 12]


def test_a_network_without_weights_is_refused():
    with pytest.raises(ValueError, match="Flatten has no trained weight of 2 or more dimensions"):
        SingularValueBounding().weights(nn.Flatten())


class TwoOptimizers(LightningModule):
    """Somebody else's: two optimizers in turn, so that ``global_step`` goes 2, 4, 6, ..."""

    def __init__(self):
        super().__init__()
        self.automatic_optimization = False
        self.backbone = nn.Sequential(nn.Flatten(), nn.Linear(3072, 100))

    def training_step(self, batch, batch_idx):
        images, labels = batch
        for optimizer in self.optimizers():
            optimizer.zero_grad()
            nn.functional.cross_entropy(self.backbone(images), labels).backward()
            optimizer.step()

    def configure_optimizers(self):
        return [torch.optim.SGD(self.backbone.parameters(), lr=0.1) for _ in range(2)]


@pytest.mark.filterwarnings("ignore:You passed in a `val_dataloader`")
def test_steps_that_jump_over_a_multiple_are_not_missed(tiny_data, make_trainer):
    recorder = Recorder(every_n_steps=5)
    callbacks = [recorder, StopOnNonFiniteLoss()]
    make_trainer(max_epochs=1, callbacks=callbacks).fit(TwoOptimizers(), tiny_data)
    assert recorder.steps == [2, 6, 10]
