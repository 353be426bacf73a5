import io
from functools import partial
from pickle import UnpicklingError
from types import SimpleNamespace

import pytest
import torch
from pytorch_lightning import LightningDataModule
from pytorch_lightning.callbacks import (
    BatchSizeFinder,
    GradientAccumulationScheduler,
    ModelCheckpoint,
)
from pytorch_lightning.cli import ReduceLROnPlateau
from pytorch_lightning.loggers.logger import DummyLogger
from torch import nn
from torch.utils.data import DataLoader, IterableDataset, TensorDataset

from regularizer_collection.callbacks import NormControl, SingularValueBounding
from regularizer_collection.datamodules import Shapes100DataModule
from regularizer_collection.lightning_modules import (
    FractionalStepLR,
    JacobianClassifier,
    L2Classifier,
    LeNet,
    NoRegClassifier,
    NormControlClassifier,
    SVBClassifier,
    classifier,
)
from regularizer_collection.regularizers import (
    JacobianPenalty,
    LabelSmoothing,
    Penalty,
    Regularizer,
    SharpnessAware,
    SpectralNormPenalty,
)

# Losses of the first 5 steps on fixed data with seed 0, dropout 0.5. They guard against changes
# that nobody meant; a change that is meant replaces them.
GOLDEN_LOSSES = {
    NoRegClassifier: [5.1885, 5.0117, 5.4315, 5.5092, 4.9877],
    L2Classifier: [5.1885, 5.0031, 5.3952, 5.4644, 4.9594],
    JacobianClassifier: [25.3095, 29.114, 23.3607, 25.0279, 24.3912],
    SVBClassifier: [5.1885, 5.0117, 6.1206, 6.7104, 5.6061],
}
# Strong enough to show within 5 steps.
GOLDEN_SETTINGS = {
    L2Classifier: {"weight_decay": 50.0},
    SVBClassifier: {"every_n_steps": 2, "bound_at_start": False},
}


def sgd(params):
    return torch.optim.SGD(params, lr=0.01, momentum=0.9)


def linear_backbone():
    return nn.Sequential(nn.Flatten(), nn.Dropout(0.2), nn.Linear(3072, 100))


class Losses(list):
    """Collects the loss of each step of a fit."""

    def __init__(self, trainer, model, data, **fit_kwargs):
        super().__init__()
        step = model.training_step

        def record(batch, batch_idx):
            loss = step(batch, batch_idx)
            self.append(loss.item())
            return loss

        model.training_step = record
        trainer.fit(model, data, **fit_kwargs)


@pytest.mark.parametrize("cls", GOLDEN_LOSSES)
def test_golden_losses(cls, make_trainer):
    torch.manual_seed(0)
    model = cls(
        optimizer=lambda params: torch.optim.SGD(params, lr=0.0001, momentum=0.9),
        **GOLDEN_SETTINGS.get(cls, {}),
    )
    data = Shapes100DataModule(train_size=100, test_size=10, batch_size=20)
    losses = Losses(make_trainer(max_epochs=1), model, data)
    torch.testing.assert_close(list(losses), GOLDEN_LOSSES[cls], rtol=2e-3, atol=0)


def test_the_rate_falls_at_one_and_two_thirds_of_the_run_whatever_its_length(
    tiny_data, make_trainer
):
    for max_epochs, cuts in [(1, (2, 4)), (3, (6, 12))]:
        model = NoRegClassifier(linear_backbone())
        rates = []
        step = model.training_step

        def record(batch, batch_idx, model=model, step=step, rates=rates):
            rates.append(model.optimizers().param_groups[0]["lr"])
            return step(batch, batch_idx)

        model.training_step = record
        make_trainer(max_epochs=max_epochs).fit(model, tiny_data)
        expected = [0.1 * 0.1 ** sum(s >= cut for cut in cuts) for s in range(6 * max_epochs)]
        assert rates == pytest.approx(expected)


def test_any_torch_scheduler_replaces_the_schedule_and_steps_by_epoch_if_asked(
    tiny_data, make_trainer
):
    model = NoRegClassifier(
        linear_backbone(),
        lr_scheduler=lambda optimizer: torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.5),
        lr_interval="epoch",
    )
    make_trainer(max_epochs=3).fit(model, tiny_data)
    assert model.optimizers().param_groups[0]["lr"] == pytest.approx(0.1 * 0.5**3)


@pytest.mark.parametrize(
    ("scheduler", "message"),
    [
        (
            torch.optim.lr_scheduler.ReduceLROnPlateau,
            "does not say what to look at; give --lr_scheduler pytorch_lightning.cli.ReduceLROnPl",
        ),
        (
            partial(ReduceLROnPlateau, monitor="test_curve/loss"),
            "test_curve/loss, which is not known after every step; give --model.lr_interval epoch",
        ),
    ],
)
def test_a_plateau_that_cannot_be_seen_is_refused(scheduler, message, tiny_data, make_trainer):
    model = NoRegClassifier(linear_backbone(), lr_scheduler=scheduler)
    with pytest.raises(ValueError, match=message):
        make_trainer(max_epochs=1).fit(model, tiny_data)


def test_a_batch_of_which_a_hook_made_more_images_weighs_what_any_does(tiny_data, make_trainer):
    def losses(copies):
        torch.manual_seed(0)
        linear = nn.Sequential(nn.Flatten(), nn.Linear(3072, 100))
        model = NoRegClassifier(linear, optimizer=sgd)
        step, seen = model.training_step, []

        def repeated(batch, batch_idx):
            loss = step((batch[0].repeat(copies, 1, 1, 1), batch[1].repeat(copies)), batch_idx)
            seen.append(loss.item())
            return loss

        model.training_step = repeated
        make_trainer(max_epochs=1).fit(model, tiny_data)
        return seen

    assert losses(2) == pytest.approx(losses(1), rel=1e-5)


def test_the_schedule_by_epochs_ends_with_the_epochs(tiny_data, make_trainer):
    model = NoRegClassifier(backbone=linear_backbone(), lr_interval="epoch")
    make_trainer(max_epochs=3).fit(model, tiny_data)
    assert model.optimizers().param_groups[0]["lr"] == pytest.approx(0.001)
    in_steps = NoRegClassifier(backbone=linear_backbone(), lr_interval="epoch")
    make_trainer(max_epochs=-1, max_steps=18).fit(in_steps, tiny_data)  # of 6 an epoch
    assert in_steps.optimizers().param_groups[0]["lr"] == pytest.approx(0.001)


@pytest.mark.parametrize(
    ("mean", "expected"), [(0.5, (0.5,)), (torch.tensor([0.5, 0.25]), (0.5, 0.25)), ((), None)]
)
def test_pixels_are_known_of_any_numbers(mean, expected):
    pixels = classifier._pixel_space(SimpleNamespace(mean=mean, std=mean))
    assert (pixels and pixels.mean) == expected


def test_l2_equals_no_reg_with_the_penalty_in_the_loss(tiny_data, make_trainer):
    class SquaredWeights(Penalty):
        def value(self, logits, images, targets, step):
            return sum(p.square().sum() for p in step.backbone.parameters()) / 2

    weights = []
    for cls, kwargs in [
        (L2Classifier, {"weight_decay": 0.05}),
        (NoRegClassifier, {"regularizers": [SquaredWeights(0.05)]}),
    ]:
        torch.manual_seed(0)
        model = cls(backbone=linear_backbone(), **kwargs)
        make_trainer(max_epochs=1).fit(model, tiny_data)
        weights.append(model.backbone[2].weight.detach())
    torch.testing.assert_close(*weights)


def test_the_loss_is_cross_entropy_plus_half_lambda_times_the_mean_squared_norm(
    tiny_data, make_trainer
):
    torch.manual_seed(0)
    linear = nn.Linear(3072, 100)
    model = JacobianClassifier(
        lambda_jacobian=0.3,
        num_projections=-1,
        backbone=nn.Sequential(nn.Flatten(), linear),
        optimizer=lambda params: torch.optim.SGD(params, lr=0.0),
    )
    trainer = make_trainer(max_epochs=1)
    trainer.fit(model, tiny_data)
    logged = {key: value.item() for key, value in trainer.callback_metrics.items()}
    norm_squared = linear.weight.square().sum().item()
    assert logged["train/jacobian_penalty"] == pytest.approx(0.3 / 2 * norm_squared, rel=1e-4)
    assert logged["train/loss"] == pytest.approx(
        logged["train/cross_entropy"] + logged["train/jacobian_penalty"], rel=1e-4
    )


def test_a_penalty_every_second_step_has_twice_the_weight(tiny_data, make_trainer):
    torch.manual_seed(0)
    losses = {}
    for every_n_steps in (1, 2):
        linear = nn.Linear(3072, 100)
        with torch.no_grad():
            linear.weight.fill_(0.01)
            linear.bias.zero_()
        model = JacobianClassifier(
            lambda_jacobian=1.0,
            num_projections=-1,
            every_n_steps=every_n_steps,
            backbone=nn.Sequential(nn.Flatten(), linear),
            optimizer=lambda params: torch.optim.SGD(params, lr=0.0),
        )
        losses[every_n_steps] = Losses(make_trainer(max_epochs=1), model, tiny_data)
    penalty = 307200 * 0.01**2 / 2
    cross_entropy = torch.tensor(100.0).log().item()
    assert losses[1] == pytest.approx([cross_entropy + penalty] * 6, rel=1e-4)
    assert losses[2] == pytest.approx([cross_entropy + 2 * penalty, cross_entropy] * 3, rel=1e-4)


def test_the_weight_of_a_penalty_rises_from_zero_with_the_optimizer_steps(tiny_data, make_trainer):
    linear = nn.Linear(3072, 100)
    with torch.no_grad():
        linear.weight.fill_(0.01)
        linear.bias.zero_()
    model = JacobianClassifier(
        lambda_jacobian=1.0,
        num_projections=-1,
        penalty_warmup_steps=4,
        backbone=nn.Sequential(nn.Flatten(), linear),
        optimizer=lambda params: torch.optim.SGD(params, lr=0.0),
    )
    losses = Losses(make_trainer(max_epochs=1), model, tiny_data)
    penalty, cross_entropy = 307200 * 0.01**2 / 2, torch.tensor(100.0).log().item()
    ramp = [0, 1 / 4, 2 / 4, 3 / 4, 1, 1]
    assert losses == pytest.approx([cross_entropy + share * penalty for share in ramp], rel=1e-4)


class Notes(DummyLogger):
    """Keeps what is logged directly, step by step."""

    def __init__(self):
        super().__init__()
        self.steps = {}

    def log_metrics(self, metrics, step=None):
        if "train/penalty_gradient_ratio" in metrics:
            self.steps[step] = metrics["train/penalty_gradient_ratio"]


@pytest.mark.parametrize(
    ("cls", "regularizers", "count"),
    [
        (JacobianClassifier, [], 50),
        (JacobianClassifier, [SharpnessAware()], 0),
        (L2Classifier, [], 0),
    ],
)
def test_the_first_fifty_steps_tell_how_penalty_and_loss_compare(
    cls, regularizers, count, tiny_data, make_trainer
):
    notes = Notes()
    model = cls(backbone=linear_backbone(), optimizer=sgd, regularizers=regularizers)
    make_trainer(max_steps=60, logger=notes).fit(model, tiny_data)
    assert list(notes.steps) == list(range(count))
    assert all(ratio > 0 for ratio in notes.steps.values())


def test_a_penalty_of_every_nth_step_is_logged_at_the_steps_it_is_of(tiny_data, make_trainer):
    seen = {}

    class Counted(Penalty):
        def value(self, logits, images, targets, step):
            return logits.sum() * 0 + step.global_step

    class Written(Notes):
        def log_metrics(self, metrics, step=None):
            for name in metrics.keys() & {"train/loss", "train/cross_entropy", "train/counted"}:
                seen.setdefault(name, {})[step] = metrics[name]

    model = NoRegClassifier(
        backbone=linear_backbone(), optimizer=sgd, regularizers=[Counted(1.0, every_n_steps=4)]
    )
    trainer = make_trainer(max_steps=40, logger=Written(), log_every_n_steps=10)
    trainer.fit(model, tiny_data)
    assert seen["train/counted"] == {step: 4.0 * step for step in (0, 12, 20, 32)}
    assert list(seen["train/loss"]) == [9, 19, 29, 39]
    assert seen["train/loss"] == seen["train/cross_entropy"]


def test_a_rare_penalty_is_logged_once_a_step_however_many_batches_it_has(tiny_data, make_trainer):
    steps = []

    class Written(Notes):
        def log_metrics(self, metrics, step=None):
            steps.extend([step] * ("train/sum" in metrics))

    class Sum(Penalty):
        def value(self, logits, images, targets, step):
            return logits.sum() * 0

    model = NoRegClassifier(
        backbone=linear_backbone(), optimizer=sgd, regularizers=[Sum(1.0, every_n_steps=2)]
    )
    options = {"max_steps": 6, "accumulate_grad_batches": 3, "log_every_n_steps": 1}
    make_trainer(logger=Written(), **options).fit(model, tiny_data)
    assert steps == [0, 2, 4]


@pytest.mark.parametrize(
    ("own", "of_model", "told"),
    [
        (500, 0, "ends at 0.6% of its weight; give a lower warmup_steps"),
        (None, 300, "penalty rises over 300 steps, and the run has 3, so that it ends at 1.0%"),
        (0, 300, None),
        (3, 300, None),
    ],
)
def test_a_penalty_that_is_still_rising_at_the_end_is_told(
    own, of_model, told, tiny_data, make_trainer, caplog
):
    model = NoRegClassifier(
        backbone=linear_backbone(),
        optimizer=sgd,
        regularizers=[JacobianPenalty(warmup_steps=own)],
        penalty_warmup_steps=of_model,
    )
    with caplog.at_level("INFO"):
        make_trainer(max_steps=3).fit(model, tiny_data)
    messages = [message for message in caplog.messages if "of its weight" in message]
    assert len(messages) == (told is not None)
    assert told is None or told in messages[0]


def test_hyperparameters_are_what_a_regularizer_keeps_of_its_arguments():
    class Own(Penalty):
        def __init__(self, coefficient=0.1, ceiling=10.0, renamed=1, **kwargs):
            super().__init__(coefficient, **kwargs)
            self.ceiling = ceiling
            self.kept = renamed

        def value(self, logits, images, targets, step):
            return logits.mean()

    model = NoRegClassifier(linear_backbone(), regularizers=[Own(every_n_steps=2)])
    own = {k: v for k, v in model.hyperparameters().items() if k.startswith("own/")}
    assert own == {"own/coefficient": 0.1, "own/ceiling": 10.0}


def test_one_forward_pass_serves_loss_and_penalty(tiny_data, make_trainer):
    class Counting(nn.Module):
        def __init__(self):
            super().__init__()
            self.linear = nn.Linear(3072, 100)
            self.calls = 0

        def forward(self, images):
            self.calls += 1
            return self.linear(images.flatten(1))

    backbone = Counting()
    make_trainer(max_epochs=1).fit(JacobianClassifier(backbone=backbone), tiny_data)
    assert backbone.calls == 6


def test_a_checkpoint_of_another_variant_is_refused(tiny_data, make_trainer, tmp_path):
    trainer = make_trainer(max_epochs=1)
    trainer.fit(NoRegClassifier(linear_backbone()), tiny_data)
    trainer.save_checkpoint(tmp_path / "no_reg.ckpt")
    with pytest.raises(ValueError, match="holds NoRegClassifier, the config asks for L2Classifier"):
        make_trainer().test(
            L2Classifier(backbone=linear_backbone()), tiny_data, ckpt_path=tmp_path / "no_reg.ckpt"
        )


def test_checkpoints_hold_plain_types_only(tiny_data, make_trainer, tmp_path):
    trainer = make_trainer(max_epochs=1)
    trainer.fit(JacobianClassifier(backbone=linear_backbone(), optimizer=sgd), tiny_data)
    trainer.save_checkpoint(tmp_path / "x.ckpt")
    checkpoint = torch.load(tmp_path / "x.ckpt", weights_only=True)
    assert checkpoint["hyper_parameters"]["lambda_jacobian"] == 0.01
    loaded = JacobianClassifier.load_from_checkpoint(
        tmp_path / "x.ckpt", backbone=linear_backbone(), lambda_jacobian=0.5
    )
    assert loaded.regularizers[0].coefficient == 0.5


@pytest.mark.parametrize("stop_after", [1, 2])
@pytest.mark.parametrize("cls", [NoRegClassifier, JacobianClassifier])
def test_a_resumed_run_ends_with_the_weights_of_an_uninterrupted_one(
    cls, stop_after, tiny_data, make_trainer, tmp_path
):
    def model():
        torch.manual_seed(0)
        return cls(backbone=linear_backbone(), optimizer=sgd)

    whole = model()
    whole_losses = Losses(make_trainer(max_epochs=3), whole, tiny_data)

    checkpoint = ModelCheckpoint(
        tmp_path, filename="last", save_on_train_epoch_end=True, enable_version_counter=False
    )

    class StopError(Exception):
        pass

    class Interrupt(cls):
        def on_train_epoch_start(self):
            if self.current_epoch == stop_after:
                raise StopError

    torch.manual_seed(0)
    half = Interrupt(backbone=linear_backbone(), optimizer=sgd)
    half.__class__.__name__ = cls.__name__
    with pytest.raises(StopError):
        make_trainer(max_epochs=3, enable_checkpointing=True, callbacks=[checkpoint]).fit(
            half, tiny_data
        )
    resumed = model()
    trainer = make_trainer(max_epochs=3, enable_checkpointing=True, callbacks=[checkpoint])
    losses = Losses(trainer, resumed, tiny_data, ckpt_path=tmp_path / "last.ckpt")
    assert losses == whole_losses[6 * stop_after :]
    for ours, theirs in zip(resumed.parameters(), whole.parameters(), strict=True):
        assert torch.equal(ours, theirs)


def test_a_run_resumed_in_mid_epoch_sees_the_rest_of_the_epoch(tiny_data, make_trainer, tmp_path):
    def model():
        torch.manual_seed(0)
        return NoRegClassifier(linear_backbone(), optimizer=sgd)

    whole = model()
    checkpoint = ModelCheckpoint(
        tmp_path, filename="{step}", every_n_train_steps=4, save_top_k=-1, save_last=False
    )
    whole_losses = Losses(
        make_trainer(max_epochs=2, enable_checkpointing=True, callbacks=[checkpoint]),
        whole,
        tiny_data,
    )
    resumed = model()
    trainer = make_trainer(max_epochs=2, enable_checkpointing=True, callbacks=[checkpoint])
    losses = Losses(trainer, resumed, tiny_data, ckpt_path=tmp_path / "step=4.ckpt")
    assert losses == whole_losses[4:]
    assert torch.equal(resumed.backbone[2].weight, whole.backbone[2].weight)


def test_l2_can_leave_biases_and_norms_as_plain_training_moves_them(tiny_data, make_trainer):
    def after_a_step(cls, **arguments):
        torch.manual_seed(0)
        backbone = nn.Sequential(nn.Conv2d(3, 4, 32), nn.BatchNorm2d(4), nn.Flatten())
        backbone.append(nn.Linear(4, 100))
        model = cls(backbone=backbone, optimizer=sgd, **arguments)
        start = {name: weight.detach().clone() for name, weight in model.named_parameters()}
        make_trainer(max_steps=1).fit(model, tiny_data)
        return start, dict(model.named_parameters())

    start, plain = after_a_step(NoRegClassifier)
    _, decayed = after_a_step(L2Classifier, weight_decay=0.5, decay_biases_and_norms=False)
    for name, weight in decayed.items():
        decay = 0.01 * 0.5 * start[name] if weight.ndim >= 2 else 0
        torch.testing.assert_close(weight, plain[name] - decay, msg=name)
    assert sum(weight.ndim < 2 for weight in plain.values()) == 4


@pytest.mark.parametrize(
    ("cls", "arguments", "message"),
    [
        (L2Classifier, {"weight_decay": -1.0}, "weight_decay is -1.0; give 0 or more"),
        (JacobianClassifier, {"lambda_jacobian": -0.1}, "lambda_jacobian is -0.1; give 0 or more"),
        (JacobianClassifier, {"num_projections": 0}, "num_projections is 0; give 1 or more"),
        (JacobianClassifier, {"every_n_steps": 0}, "every_n_steps is 0; give 1 or more"),
        (NoRegClassifier, {"penalty_warmup_steps": -1}, "penalty_warmup_steps is -1; give 0"),
    ],
)
def test_refuses_wrong_arguments(cls, arguments, message):
    with pytest.raises(ValueError, match=message):
        cls(**arguments)


class Stream(IterableDataset):
    """Sixty images in batches of ten, whose number it does not tell."""

    def __iter__(self):
        generator = torch.Generator().manual_seed(0)
        for _ in range(6):
            yield torch.randn(10, 3, 32, 32, generator=generator), torch.arange(10)


def stream():
    return DataLoader(Stream(), batch_size=None)


def six_batches():
    return DataLoader([*Stream()], batch_size=None)


def test_a_schedule_of_fractions_is_refused_where_the_length_of_the_data_is_unknown(make_trainer):
    message = r"the training data .* give trainer\.max_steps or trainer\.limit_train_batches"
    with pytest.raises(ValueError, match=message):
        make_trainer(max_epochs=2).fit(NoRegClassifier(linear_backbone()), stream(), stream())
    limited = NoRegClassifier(linear_backbone())
    make_trainer(max_epochs=3, limit_train_batches=6).fit(limited, stream(), stream())
    assert limited.optimizers().param_groups[0]["lr"] == pytest.approx(0.001)
    nothing = NoRegClassifier(linear_backbone())
    make_trainer(max_epochs=2, limit_train_batches=0).fit(nothing, stream(), stream())


@pytest.mark.parametrize("data", [stream, six_batches])
@pytest.mark.parametrize(
    ("when", "is_kept"),
    [
        ({"save_on_train_epoch_end": True}, False),
        ({"every_n_train_steps": 6}, False),
        ({"every_n_train_steps": 4}, True),
    ],
)
def test_accuracy_so_far_is_kept_in_mid_epoch_alone(data, when, is_kept, make_trainer, tmp_path):
    checkpoint = ModelCheckpoint(tmp_path, filename="kept", **when)
    trainer = make_trainer(max_epochs=1, enable_checkpointing=True, callbacks=[checkpoint])
    model = NoRegClassifier(
        linear_backbone(),
        optimizer=sgd,
        lr_scheduler=lambda optimizer: torch.optim.lr_scheduler.ConstantLR(optimizer),
    )
    trainer.fit(model, data(), data())
    assert ("train_accuracy" in torch.load(tmp_path / "kept.ckpt", weights_only=True)) == is_kept


class ImagesByTheBatch(LightningDataModule):
    def __init__(self):
        super().__init__()
        self.batch_size = 10

    def train_dataloader(self):
        images = torch.randn(200, 3, 32, 32, generator=torch.Generator().manual_seed(0))
        return DataLoader(TensorDataset(images, torch.arange(200) % 100), self.batch_size)

    val_dataloader = train_dataloader


def test_the_rate_falls_at_fractions_of_the_run_that_a_callback_has_shortened(make_trainer):
    model = NoRegClassifier(linear_backbone())
    finder = BatchSizeFinder(init_val=10, max_trials=2)
    trainer = make_trainer(max_epochs=3, callbacks=[finder])
    trainer.fit(model, datamodule=ImagesByTheBatch())
    assert (finder.optimal_batch_size, trainer.global_step) == (20, 30)
    assert dict(model.lr_schedulers().milestones) == {10: 1, 20: 1}
    assert model.optimizers().param_groups[0]["lr"] == pytest.approx(0.001)


def test_a_schedule_of_fractions_is_refused_where_the_accumulated_batches_change(
    tiny_data, make_trainer
):
    scheduler = GradientAccumulationScheduler({0: 1, 1: 2})
    message = r"GradientAccumulationScheduler .* give trainer\.accumulate_grad_batches"
    with pytest.raises(ValueError, match=message):
        make_trainer(max_epochs=2, callbacks=[scheduler]).fit(
            NoRegClassifier(linear_backbone()), tiny_data
        )


@pytest.mark.parametrize(
    ("cls", "callback"),
    [(SVBClassifier, SingularValueBounding), (NormControlClassifier, NormControl)],
)
def test_a_second_module_takes_the_place_of_the_callback_that_the_first_brought(
    cls, callback, tiny_data, make_trainer
):
    def module():
        backbone = nn.Sequential(nn.Conv2d(3, 4, 32), nn.BatchNorm2d(4), nn.Flatten())
        return cls(backbone=backbone.append(nn.Linear(4, 100)), optimizer=sgd, every_n_steps=2)

    trainer, second = make_trainer(max_epochs=1), module()
    trainer.fit(module(), tiny_data)
    trainer.test(second, tiny_data, verbose=False)
    assert [c for c in trainer.callbacks if isinstance(c, callback)] == second.configure_callbacks()
    with pytest.raises(ValueError, match=f"brings its own {callback.__name__}"):
        make_trainer(max_epochs=1, callbacks=[callback(2)]).fit(module(), tiny_data)


def as_path(path):
    return path


def as_address(path):
    return path.as_uri()


def as_open_file(path):
    return io.BytesIO(path.read_bytes())


@pytest.mark.parametrize("given", [as_path, as_address, as_open_file])
def test_whatever_lightning_loads_a_checkpoint_from_brings_its_backbone_back(
    given, make_trainer, tmp_path
):
    model = NoRegClassifier(LeNet(4), num_classes=4, optimizer=sgd)
    batches = [(torch.zeros(2, 1, 28, 28), torch.zeros(2, dtype=torch.int64))]
    trainer = make_trainer(max_epochs=0)
    trainer.fit(model, batches, batches)
    trainer.save_checkpoint(tmp_path / "last.ckpt")
    loaded = NoRegClassifier.load_from_checkpoint(given(tmp_path / "last.ckpt"))
    torch.testing.assert_close(loaded.state_dict(), model.state_dict())


def test_a_checkpoint_with_objects_in_it_is_read_if_the_user_says_so(make_trainer, tmp_path):
    model = NoRegClassifier(LeNet(4), num_classes=4, optimizer=sgd)
    batches = [(torch.zeros(2, 1, 28, 28), torch.zeros(2, dtype=torch.int64))]
    trainer = make_trainer(max_epochs=0)
    trainer.fit(model, batches, batches)
    trainer.save_checkpoint(tmp_path / "last.ckpt")
    checkpoint = torch.load(tmp_path / "last.ckpt", weights_only=True)
    torch.save(checkpoint | {"note": SimpleNamespace()}, tmp_path / "last.ckpt")
    with pytest.raises(UnpicklingError, match="weights_only"):
        NoRegClassifier.load_from_checkpoint(tmp_path / "last.ckpt")
    loaded = NoRegClassifier.load_from_checkpoint(tmp_path / "last.ckpt", weights_only=False)
    assert loaded.backbone.arguments["num_classes"] == 4


def test_a_module_loaded_without_the_regularizers_that_it_was_trained_with_says_so(
    tiny_data, make_trainer, tmp_path
):
    extra = [LabelSmoothing(0.2)]
    model = JacobianClassifier(backbone=linear_backbone(), optimizer=sgd, regularizers=extra)
    trainer = make_trainer(max_steps=1)
    trainer.fit(model, tiny_data)
    trainer.save_checkpoint(tmp_path / "last.ckpt")

    def load(**arguments):
        JacobianClassifier.load_from_checkpoint(
            tmp_path / "last.ckpt", backbone=linear_backbone(), **arguments
        )

    with pytest.warns(UserWarning, match="trained with LabelSmoothing, .* give regularizers="):
        load()
    load(regularizers=extra)  # a warning would be an error
    checkpoint = torch.load(tmp_path / "last.ckpt", weights_only=True)
    del checkpoint["regularizers"]  # as in those of older versions
    torch.save(checkpoint, tmp_path / "last.ckpt")
    load()


def test_the_state_of_regularizers_that_are_lacking_is_left_out(tiny_data, make_trainer, tmp_path):
    extra = [LabelSmoothing(0.2), SpectralNormPenalty()]
    model = NoRegClassifier(backbone=linear_backbone(), optimizer=sgd, regularizers=extra)
    trainer = make_trainer(max_steps=1)
    trainer.fit(model, tiny_data)
    trainer.save_checkpoint(tmp_path / "last.ckpt")

    def load(regularizers):
        return NoRegClassifier.load_from_checkpoint(
            tmp_path / "last.ckpt", backbone=linear_backbone(), regularizers=regularizers
        )

    for given in ([], [SpectralNormPenalty()]):
        with pytest.warns(UserWarning, match="trained with LabelSmoothing"):
            loaded = load(given)
        for name, weight in model.backbone.state_dict().items():
            assert loaded.backbone.state_dict()[name].equal(weight)
    again = load([LabelSmoothing(0.2), SpectralNormPenalty()])
    state = model.regularizers.state_dict()
    assert state
    assert all(again.regularizers.state_dict()[name].equal(state[name]) for name in state)
    lacking = NoRegClassifier(backbone=linear_backbone(), optimizer=sgd)
    with pytest.raises(RuntimeError, match="Unexpected key"):  # a training goes on as it was
        make_trainer(max_steps=2).fit(lacking, tiny_data, ckpt_path=tmp_path / "last.ckpt")


class Queue(Regularizer):
    """Remembers more and more."""

    def __init__(self):
        super().__init__()
        self.register_buffer("seen", torch.zeros(0, 100))

    def penalty(self, logits, images, targets, step):
        self.seen = torch.cat([self.seen, logits.detach()])


def test_what_no_new_regularizer_could_be_given_is_refused_at_the_first_save(
    tiny_data, make_trainer, tmp_path
):
    model = NoRegClassifier(linear_backbone(), optimizer=sgd, regularizers=[Queue()])
    checkpoint = ModelCheckpoint(tmp_path)
    trainer = make_trainer(max_epochs=1, enable_checkpointing=True, callbacks=[checkpoint])
    with pytest.raises(ValueError, match=r"Queue remembers seen of shape .* which had \[0, 100\]"):
        trainer.fit(model, tiny_data)


def test_float16_is_refused_with_ones_own_penalty_that_differentiates_images():
    class OfImages(Penalty):
        differentiates_images = True

        def value(self, logits, images, targets, step):
            return torch.autograd.grad(logits.sum(), images, create_graph=True)[0].square().mean()

    model = NoRegClassifier(linear_backbone(), optimizer=sgd, regularizers=[OfImages(0.1)])
    model._trainer = SimpleNamespace(precision="16-mixed")
    with pytest.raises(ValueError, match="gradients inside of_images; give bf16-mixed"):
        model.on_fit_start()


def test_what_a_regularizer_trains_is_no_hyperparameter():
    class Temperature(Regularizer):
        def __init__(self, temperature=2.0, rate=0.1):
            super().__init__()
            self.temperature = nn.Parameter(torch.tensor(temperature))
            self.rate = rate

    found = NoRegClassifier(linear_backbone(), regularizers=[Temperature()]).hyperparameters()
    assert found["temperature/rate"] == 0.1
    assert "temperature/temperature" not in found


def test_a_schedule_of_ones_own_length_keeps_it(tiny_data, make_trainer):
    class Own(NoRegClassifier):
        def configure_optimizers(self):
            optimizer = self.build_optimizer(self.parameters())
            scheduler = FractionalStepLR(optimizer)
            scheduler.set_total_steps(3)
            return [optimizer], [{"scheduler": scheduler, "interval": "step"}]

    model = Own(linear_backbone(), optimizer=sgd)
    trainer = make_trainer(max_epochs=2)
    trainer.fit(model, tiny_data)
    assert trainer.optimizers[0].param_groups[0]["lr"] == pytest.approx(0.01 / 100)
    assert trainer.lr_scheduler_configs[0].scheduler.milestones == {1: 1, 2: 1}
