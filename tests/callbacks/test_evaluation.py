import pytest
import torch
from torch import nn

from regularizer_collection.callbacks import Evaluation
from regularizer_collection.functional import (
    ClassMap,
    boundary_length,
    classify_plane,
    isotropic_tv,
)
from regularizer_collection.lightning_modules import NoRegClassifier, ResNet18


def evaluate(make_trainer, data, backbone=None, **options):
    torch.manual_seed(0)
    backbone = backbone or nn.Sequential(nn.Flatten(), nn.Linear(3072, 100))
    evaluation = Evaluation(**({"zoom_levels": (0.1,), "resolution": 21} | options))
    trainer = make_trainer(callbacks=[evaluation])
    trainer.test(NoRegClassifier(backbone), data, verbose=False)
    return evaluation, trainer, backbone


def test_every_measure_of_every_plane_equals_the_naive_one(make_trainer, tiny_data):
    evaluation, trainer, backbone = evaluate(make_trainer, tiny_data, num_planes=4, mode="exact")
    measures = evaluation.results["zoom_levels"]["zoom_0.1"]
    images = tiny_data.normalize(tiny_data.images_and_labels("test")[0])
    planes = evaluation.planes(len(images), (3, 32, 32))
    maps = [
        classify_plane(backbone, images[plane.image_index], plane.directions, 0.1, 21, "exact")
        for plane in planes
    ]
    assert measures["tv_isotropic"] == [isotropic_tv(labels) for labels in maps]
    assert measures["boundary_length"] == [boundary_length(labels) for labels in maps]
    mean = sum(measures["boundary_length"]) / 4
    logged = trainer.callback_metrics["test/boundary_length/zoom_0.1"]
    assert logged.item() == pytest.approx(mean)


def test_planes_depend_on_the_seed_and_the_data_alone():
    first, again = Evaluation(num_planes=5), Evaluation(num_planes=5, resolution=7, chunk_size=3)
    other = Evaluation(num_planes=5, seed=1)
    shape = (3, 4, 4)
    for plane, same in zip(first.planes(100, shape), again.planes(100, shape), strict=True):
        assert plane.image_index == same.image_index
        assert torch.equal(plane.directions, same.directions)
    indices = [plane.image_index for plane in first.planes(100, shape)]
    assert len(set(indices)) == 5
    assert indices != [plane.image_index for plane in other.planes(100, shape)]


def test_every_plane_has_an_image_and_directions_of_its_own():
    planes = Evaluation(num_planes=4).planes(10, (3, 8, 8))
    assert len({plane.image_index for plane in planes}) == 4
    directions = torch.cat([plane.directions.flatten(1) for plane in planes])
    cosines = directions @ directions.T
    assert (cosines - torch.eye(8)).abs().max() < 0.4  # of random directions in 192 dimensions


def test_more_planes_begin_with_the_same_ones():
    few, many = Evaluation(num_planes=2).planes(50, (3, 2, 2)), Evaluation(num_planes=6)
    for plane, same in zip(few, many.planes(50, (3, 2, 2)), strict=False):
        assert plane.image_index == same.image_index
        assert torch.equal(plane.directions, same.directions)


@pytest.mark.parametrize("chunk_size", [7, 1000])
def test_the_chunk_size_changes_no_result(make_trainer, tiny_data, chunk_size):
    reference, _, _ = evaluate(make_trainer, tiny_data, num_planes=2)
    chunked, _, _ = evaluate(make_trainer, tiny_data, num_planes=2, chunk_size=chunk_size)
    assert chunked.results == reference.results


def test_the_backbone_is_measured_in_eval_mode(make_trainer, tiny_data):
    torch.manual_seed(0)
    evaluation, _, backbone = evaluate(
        make_trainer, tiny_data, ResNet18(dropout=0.5), num_planes=2, mode="exact"
    )
    images = tiny_data.normalize(tiny_data.images_and_labels("test")[0])
    naive = [
        boundary_length(
            classify_plane(
                backbone.eval(), images[plane.image_index], plane.directions, 0.1, 21, "exact"
            )
        )
        for plane in evaluation.planes(len(images), (3, 32, 32))
    ]
    assert evaluation.results["zoom_levels"]["zoom_0.1"]["boundary_length"] == naive


def test_a_plane_without_a_boundary_has_the_half_width_as_distance(make_trainer, tiny_data):
    constant = nn.Sequential(nn.Flatten(), nn.Linear(3072, 100))
    nn.init.zeros_(constant[1].weight)
    evaluation, _, _ = evaluate(make_trainer, tiny_data, constant, num_planes=1)
    assert evaluation.results["zoom_levels"]["zoom_0.1"]["boundary_distance"] == [10.0]


class NotFinite(nn.Module):
    def forward(self, images):
        return torch.full((len(images), 100), float("nan"))


def test_logits_that_are_not_finite_are_counted(make_trainer, tiny_data):
    with pytest.warns(UserWarning, match="441 points without a class, logits are not finite"):
        evaluation, _, _ = evaluate(
            make_trainer, tiny_data, NotFinite(), num_planes=1, mode="exact"
        )
    assert evaluation.results["zoom_levels"]["zoom_0.1"]["non_finite"] == [21 * 21]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"zoom_levels": (0.0,)}, r"zoom_levels are \[0.0\]; give numbers above 0"),
        ({"zoom_levels": ()}, r"zoom_levels are \[\]; give numbers above 0"),
        ({"num_planes": 0}, "num_planes is 0; give 1 or more"),
        ({"resolution": 1}, "resolution is 1; give 2 or more"),
        ({"chunk_size": 0}, "chunk_size is 0; give 1 or more"),
    ],
)
def test_refuses_wrong_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        Evaluation(**arguments)


def test_refuses_more_planes_than_test_images(make_trainer, tiny_data):
    with pytest.raises(ValueError, match="num_planes is 61, the test split has 60 images"):
        evaluate(make_trainer, tiny_data, num_planes=61)


def test_refuses_a_model_with_another_number_of_classes(make_trainer, tiny_data):
    model = NoRegClassifier(nn.Sequential(nn.Flatten(), nn.Linear(3072, 120)), num_classes=120)
    trainer = make_trainer(callbacks=[Evaluation()])
    with pytest.raises(ValueError, match="the model has 120 classes, the data 100"):
        trainer.test(model, tiny_data)


def test_the_default_planes_are_those_of_the_source_experiment():
    evaluation = Evaluation()
    assert evaluation.zoom_levels == [0.025, 0.01, 0.001]
    assert (evaluation.num_planes, evaluation.resolution) == (25, 250)
    assert len(evaluation.planes(10_000, (3, 32, 32))) == 25


def test_leaves_a_picture_for_each_zoom_level(make_trainer, tiny_data, tmp_path):
    evaluate(make_trainer, tiny_data, num_planes=2, zoom_levels=(0.1, 0.025))
    names = {path.name for path in (tmp_path / "planes").iterdir()}
    assert names == {"zoom_0.1.png", "zoom_0.025.png"}


class Hurried(nn.Module):
    """Stands for a user who presses Ctrl-C while the second plane is measured."""

    def __init__(self, calls):
        super().__init__()
        self.calls_left = calls
        self.layer = nn.Linear(3072, 100)

    def forward(self, images):
        if len(images) == 21 * 21:
            self.calls_left -= 1
            if self.calls_left < 0:
                raise KeyboardInterrupt
        return self.layer(images.flatten(1))


def test_ctrl_c_keeps_the_planes_that_are_done(make_trainer, tiny_data):
    options = {"num_planes": 3, "mode": "exact", "chunk_size": 21 * 21, "zoom_levels": (0.1, 0.01)}
    whole, _, _ = evaluate(make_trainer, tiny_data, Hurried(10**6), **options)
    torch.manual_seed(0)
    with pytest.warns(UserWarning, match="interrupted: the results hold 1 of 3 planes"):
        part, _, _ = evaluate(make_trainer, tiny_data, Hurried(3), **options)
    assert part.results["image_indices"] == whole.results["image_indices"][:1]
    assert (part.results["missing_planes"], whole.results["missing_planes"]) == (2, 0)
    kept, all_values = (e.results["zoom_levels"]["zoom_0.1"]["tv_isotropic"] for e in (part, whole))
    assert kept == all_values[:1]


def test_every_n_epochs_measures_in_training_and_changes_no_weight(make_trainer, tiny_data):
    def fit(*callbacks):
        torch.manual_seed(0)
        model = NoRegClassifier(ResNet18())
        trainer = make_trainer(max_epochs=2, callbacks=list(callbacks))
        trainer.fit(model, tiny_data)
        return model, trainer

    evaluation = Evaluation(zoom_levels=(0.1,), num_planes=2, resolution=9, every_n_epochs=2)
    measured, trainer = fit(evaluation)
    plain, _ = fit()
    logged = trainer.callback_metrics["test_curve/boundary_length/zoom_0.1"].item()
    values = evaluation.results["zoom_levels"]["zoom_0.1"]["boundary_length"]
    assert logged == pytest.approx(sum(values) / 2)
    torch.testing.assert_close(measured.state_dict(), plain.state_dict(), rtol=0, atol=0)


def test_the_log_says_which_planes_were_redone(make_trainer, tiny_data, caplog, monkeypatch):
    redone = ClassMap(torch.zeros(21, 21, dtype=torch.int64), redone=True)
    monkeypatch.setattr(
        "regularizer_collection.callbacks.evaluation.classify_plane_with_error",
        lambda *_, **__: redone,
    )
    with caplog.at_level("INFO"):
        evaluate(make_trainer, tiny_data, num_planes=2)
    assert "zoom_0.1: 2 planes redone exactly" in caplog.text


def test_prints_the_mean_of_each_measure_with_its_interval(make_trainer, tiny_data, caplog):
    with caplog.at_level("INFO"):
        evaluate(make_trainer, tiny_data, num_planes=3)
    assert "boundary_length zoom_0.1: " in caplog.text
    assert " +/- " in caplog.text
