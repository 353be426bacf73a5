import pytest
import torch
from pytorch_lightning import LightningModule
from pytorch_lightning.loggers import TensorBoardLogger
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch import nn
from torch.nn.functional import cross_entropy

from regularizer_collection.callbacks import Dashboard, Evaluation
from regularizer_collection.datamodules import Shapes100DataModule
from regularizer_collection.lightning_modules import NoRegClassifier, ResNet18


@pytest.fixture
def data():
    return Shapes100DataModule(train_size=120, test_size=4, batch_size=40)


@pytest.fixture
def trained(make_trainer, data, tmp_path):
    torch.manual_seed(0)
    model = NoRegClassifier(ResNet18())
    evaluation = Evaluation(zoom_levels=(0.1,), num_planes=1, resolution=9, plane_sets=[])
    trainer = make_trainer(
        max_epochs=1,
        callbacks=[Dashboard(), evaluation],
        logger=TensorBoardLogger(tmp_path, name="", version="", default_hp_metric=False),
    )
    trainer.fit(model, data)
    logged = dict(trainer.callback_metrics)
    trainer.test(model, data, verbose=False)
    return model, logged


def events(folder):
    runs = [EventAccumulator(str(p)).Reload() for p in folder.rglob("events.out.tfevents.*")]
    kinds = ("scalars", "histograms", "images", "tensors")
    return runs, {kind: {tag for run in runs for tag in run.Tags()[kind]} for kind in kinds}


def test_the_jacobian_norm_is_exact_and_in_eval_mode(trained, data):
    model, logged = trained
    images, _ = data.images_and_labels("test")
    model.eval()
    jacobians = [
        torch.func.jacrev(lambda x: model(x[None])[0])(image) for image in data.normalize(images)
    ]
    mean = sum(jacobian.norm().item() for jacobian in jacobians) / 4
    assert logged["jacobian/norm"].item() == pytest.approx(mean, rel=1e-4)


def test_the_extremes_are_those_of_all_layers(trained):
    model, logged = trained
    spectra = [torch.linalg.svdvals(p.flatten(1)) for p in model.parameters() if p.ndim >= 2]
    assert logged["svb/sigma_max"].item() == pytest.approx(max(s.max().item() for s in spectra))
    lowest = min(s.min().item() for s in spectra)
    assert logged["svb/sigma_min"].item() == pytest.approx(lowest, rel=1e-3)


def test_events_hold_scalars_histograms_images_layout_and_hyperparameters(trained, tmp_path):
    _, tags = events(tmp_path)
    assert {"jacobian/norm", "svb/sigma_min", "svb/sigma_max", "lr"} <= tags["scalars"]
    assert {"sigma_min/layer4.1.conv2", "sigma_max/fc"} <= tags["scalars"]
    assert {"singular_values/conv1", "singular_values/fc"} <= tags["histograms"]
    assert "test_planes/zoom_0.1" in tags["images"]
    assert "custom_scalars__config__" in tags["tensors"]
    assert "hp_metric" not in tags["scalars"]
    content = b"".join(p.read_bytes() for p in tmp_path.rglob("events.out.tfevents.*"))
    assert b"_hparams_/experiment" in content


def test_training_is_the_same_with_and_without_it(make_trainer, tiny_data):
    def fit(*callbacks):
        torch.manual_seed(0)
        model = NoRegClassifier(ResNet18())
        make_trainer(max_epochs=2, callbacks=list(callbacks)).fit(model, tiny_data)
        return model.state_dict()

    torch.testing.assert_close(fit(Dashboard(num_images=2)), fit(), rtol=0, atol=0)


def test_works_with_any_backbone_and_without_a_logger(make_trainer, tiny_data):
    model = NoRegClassifier(nn.Sequential(nn.Flatten(), nn.Linear(3072, 100)))
    trainer = make_trainer(max_epochs=1, callbacks=[Dashboard(num_images=2)])
    trainer.fit(model, tiny_data)
    weight = model.backbone[1].weight
    norm = trainer.callback_metrics["jacobian/norm"].item()
    assert norm == pytest.approx(weight.norm().item(), rel=1e-5)


def test_a_compiled_backbone_trains_without_the_norm(make_trainer, tiny_data):
    torch.manual_seed(0)
    layers = nn.Sequential(nn.Flatten(), nn.Linear(3072, 8), nn.Tanh(), nn.Linear(8, 100))
    model = NoRegClassifier(torch.compile(layers, backend="aot_eager"))
    trainer = make_trainer(max_epochs=1, callbacks=[Dashboard(num_images=2)])
    with pytest.warns(UserWarning, match=r"jacobian/norm is left out of the dashboard: .*donated"):
        trainer.fit(model, tiny_data)
    assert "svb/sigma_max" in trainer.callback_metrics


def test_a_module_of_somebody_elses_has_its_spectra(make_trainer, tiny_data, tmp_path):
    class Foreign(LightningModule):
        def __init__(self):
            super().__init__()
            self.layers = nn.Sequential(nn.Flatten(), nn.Linear(3072, 100))

        def training_step(self, batch, batch_idx):
            return cross_entropy(self.layers(batch[0]), batch[1])

        def validation_step(self, batch, batch_idx):
            pass

        def test_step(self, batch, batch_idx):
            self.log("test/loss", cross_entropy(self.layers(batch[0]), batch[1]))

        def configure_optimizers(self):
            return torch.optim.SGD(self.parameters(), lr=0.1)

    logger = TensorBoardLogger(tmp_path)
    trainer = make_trainer(max_epochs=1, callbacks=[Dashboard()], logger=logger)
    model = Foreign()
    trainer.fit(model, tiny_data)
    largest = torch.linalg.svdvals(model.layers[1].weight)[0].item()
    assert trainer.callback_metrics["svb/sigma_max"].item() == pytest.approx(largest, rel=1e-5)
    trainer.test(model, tiny_data, verbose=False)


def test_refuses_no_images():
    with pytest.raises(ValueError, match="num_images is 0; give 1 or more"):
        Dashboard(num_images=0)
