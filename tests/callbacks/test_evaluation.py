from functools import partial
from signal import SIGTERM, raise_signal

import pytest
import torch
from pytorch_lightning.utilities.exceptions import SIGTERMException
from torch import nn

from regularizer_collection.callbacks import DataPlanes, Evaluation, Segments
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
    defaults = {"zoom_levels": (0.1,), "resolution": 21, "plane_sets": []}
    evaluation = Evaluation(**(defaults | options))
    trainer = make_trainer(callbacks=[evaluation])
    trainer.test(NoRegClassifier(backbone), data, verbose=False)
    return evaluation, trainer, backbone


def test_every_measure_of_every_plane_equals_the_naive_one(make_trainer, tiny_data):
    evaluation, trainer, backbone = evaluate(make_trainer, tiny_data, num_planes=4, mode="exact")
    measures = evaluation.record["random"]["zoom_levels"]["zoom_0.1"]
    images = tiny_data.normalize(tiny_data.images_and_labels("test")[0])
    planes = evaluation.plane_sets[-1].draw(len(images), (3, 32, 32), seed=0)
    maps = [
        classify_plane(backbone, images[plane.image_index], plane.directions, 0.1, 21, "exact")
        for plane in planes
    ]
    assert measures["tv_isotropic"] == [isotropic_tv(labels) for labels in maps]
    assert measures["boundary_length"] == [boundary_length(labels) for labels in maps]
    mean = sum(measures["boundary_length"]) / 4
    logged = trainer.callback_metrics["test/boundary_length/zoom_0.1"]
    assert logged.item() == pytest.approx(mean)


@pytest.mark.parametrize("chunk_size", [7, 1000])
def test_the_chunk_size_changes_no_result(make_trainer, tiny_data, chunk_size):
    reference, _, _ = evaluate(make_trainer, tiny_data, num_planes=2)
    chunked, _, _ = evaluate(make_trainer, tiny_data, num_planes=2, chunk_size=chunk_size)
    assert chunked.record == reference.record


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
        for plane in evaluation.plane_sets[-1].draw(len(images), (3, 32, 32), seed=0)
    ]
    assert evaluation.record["random"]["zoom_levels"]["zoom_0.1"]["boundary_length"] == naive


def test_a_distance_that_was_not_reached_is_not_recorded_as_one(make_trainer, tiny_data):
    constant = nn.Sequential(nn.Flatten(), nn.Linear(3072, 100))
    nn.init.zeros_(constant[1].weight)
    evaluation, trainer, _ = evaluate(make_trainer, tiny_data, constant, num_planes=1)
    measures = evaluation.record["random"]["zoom_levels"]["zoom_0.1"]
    assert measures["boundary_distance"] == [None]
    # What is logged is the restricted mean, up to the half-width.
    assert trainer.callback_metrics["test/boundary_distance/zoom_0.1"].item() == 10.0


def test_distances_are_from_the_image_itself_on_even_planes_too(make_trainer, tiny_data):
    even, odd = (
        evaluate(make_trainer, tiny_data, num_planes=6, resolution=r, mode="exact")[0]
        for r in (200, 201)
    )
    ours, theirs = (
        evaluation.record["random"]["zoom_levels"]["zoom_0.1"]["boundary_distance"]
        for evaluation in (even, odd)
    )
    spacing = 20 / 199
    reached = [(a, b) for a, b in zip(ours, theirs, strict=True) if a is not None and b is not None]
    assert reached
    for a, b in reached:  # the boundary is up to one diagonal nearer than the nearest point
        assert abs(a - b) <= 1.5 * spacing


class NotFinite(nn.Module):
    def forward(self, images):
        return torch.full((len(images), 100), float("nan"))


def test_logits_that_are_not_finite_are_counted(make_trainer, tiny_data):
    with pytest.warns(UserWarning, match="441 points without a class, logits are not finite"):
        evaluation, _, _ = evaluate(
            make_trainer, tiny_data, NotFinite(), num_planes=1, mode="exact"
        )
    assert evaluation.record["random"]["zoom_levels"]["zoom_0.1"]["non_finite"] == [21 * 21]


def test_points_of_a_segment_without_a_class_are_counted(make_trainer, tiny_data):
    planes = [Segments(num_planes=2, resolution=5)]
    with pytest.warns(UserWarning, match="points without a class"):
        evaluation, _, _ = evaluate(make_trainer, tiny_data, NotFinite(), plane_sets=planes)
    values = evaluation.record["segments"]["values"]
    assert values["non_finite"] == [5, 5]
    assert values["class_changes"] == [0, 0]


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
    with pytest.raises(ValueError, match="num_planes is 61 for random planes, the test split has"):
        evaluate(make_trainer, tiny_data, num_planes=61)
    with pytest.raises(ValueError, match="num_planes is 61 for data planes, the test split has 60"):
        evaluate(make_trainer, tiny_data, plane_sets=[DataPlanes(num_planes=61)])


def test_what_does_not_fit_is_refused_before_anything_is_trained(make_trainer, tiny_data):
    model = NoRegClassifier(nn.Sequential(nn.Flatten(), nn.Linear(3072, 100)))
    trainer = make_trainer(max_epochs=1, callbacks=[Evaluation(plane_sets=[DataPlanes(61)])])
    with pytest.raises(ValueError, match="num_planes is 61 for data planes"):
        trainer.fit(model, tiny_data)
    assert trainer.global_step == 0


def test_a_kind_of_planes_is_measured_once():
    with pytest.raises(ValueError, match="plane_sets are data, data, random; give each kind once"):
        Evaluation(plane_sets=[DataPlanes(), DataPlanes(resolution=20)])


def test_refuses_a_model_with_another_number_of_classes(make_trainer, tiny_data):
    model = NoRegClassifier(nn.Sequential(nn.Flatten(), nn.Linear(3072, 120)), num_classes=120)
    trainer = make_trainer(callbacks=[Evaluation()])
    with pytest.raises(ValueError, match="the model has 120 classes, the data 100"):
        trainer.test(model, tiny_data)


def test_the_default_planes_are_those_of_the_source_experiment_and_between_images():
    evaluation = Evaluation()
    data, segments, random = evaluation.plane_sets
    assert random.zoom_levels == [0.025, 0.01, 0.001]
    assert (random.num_planes, random.resolution) == (25, 250)
    assert (data.kind, data.num_planes, data.resolution) == ("data", 200, 50)
    assert (segments.kind, segments.num_planes, segments.resolution) == ("segments", 1000, 50)


def test_leaves_a_picture_for_each_zoom_level(make_trainer, tiny_data, tmp_path):
    evaluate(make_trainer, tiny_data, num_planes=2, zoom_levels=(0.1, 0.025))
    names = {path.name for path in (tmp_path / "planes").iterdir()}
    assert names == {"zoom_0.1.png", "zoom_0.025.png"}


def press_ctrl_c():
    raise KeyboardInterrupt


class Hurried(nn.Module):
    """Stands for a user who presses Ctrl-C, or who kills, while the second plane is measured."""

    def __init__(self, calls, end=press_ctrl_c):
        super().__init__()
        self.calls_left = calls
        self.end = end
        self.layer = nn.Linear(3072, 100)

    def forward(self, images):
        if len(images) == 21 * 21:
            self.calls_left -= 1
            if self.calls_left == -1:
                self.end()
        return self.layer(images.flatten(1))


def test_ctrl_c_keeps_the_planes_that_are_done(make_trainer, tiny_data):
    options = {"num_planes": 3, "mode": "exact", "chunk_size": 21 * 21, "zoom_levels": (0.1, 0.01)}
    network = Hurried(10**6)
    whole, _, _ = evaluate(make_trainer, tiny_data, network, **options)
    network.calls_left = 3
    with pytest.warns(UserWarning, match="interrupted: the results hold 1 of 3 random planes"):
        part, _, _ = evaluate(make_trainer, tiny_data, network, **options)
    assert part.record["random"]["image_indices"] == whole.record["random"]["image_indices"][:1]
    assert [e.record["random"]["missing_planes"] for e in (part, whole)] == [2, 0]
    kept, all_values = (
        e.record["random"]["zoom_levels"]["zoom_0.1"]["tv_isotropic"] for e in (part, whole)
    )
    assert kept == all_values[:1]


def test_sigterm_ends_a_test_after_the_plane_that_is_measured(make_trainer, tiny_data):
    network = Hurried(3, partial(raise_signal, SIGTERM))
    options = {"num_planes": 3, "mode": "exact", "chunk_size": 21 * 21, "zoom_levels": (0.1, 0.01)}
    with pytest.raises(SIGTERMException):
        evaluate(make_trainer, tiny_data, network, **options)
    assert network.calls_left == -1


def test_every_n_epochs_measures_the_cheap_planes_and_changes_no_weight(make_trainer, tiny_data):
    def fit(*callbacks):
        torch.manual_seed(0)
        model = NoRegClassifier(ResNet18())
        trainer = make_trainer(max_epochs=2, callbacks=list(callbacks))
        trainer.fit(model, tiny_data)
        return model, trainer

    planes = [DataPlanes(num_planes=2, resolution=9), Segments(num_planes=3)]
    evaluation = Evaluation(plane_sets=planes, every_n_epochs=2)
    measured, trainer = fit(evaluation)
    plain, _ = fit()
    logged = trainer.callback_metrics["test_curve/boundary_density/data"].item()
    values = evaluation.record["data"]["values"]["boundary_density"]
    assert logged == pytest.approx(sum(values) / 2)
    assert set(evaluation.record) == {"data", "segments"}
    torch.testing.assert_close(measured.state_dict(), plain.state_dict(), rtol=0, atol=0)


def test_ctrl_c_ends_a_training_that_measures_and_no_part_stands_in_its_curve(
    make_trainer, tiny_data
):
    class Interrupted(Segments):
        def measure(self, subject, plane, number):
            if number == 2:
                raise KeyboardInterrupt
            return super().measure(subject, plane, number)

    planes = [Interrupted(num_planes=4, resolution=5)]
    trainer = make_trainer(
        max_epochs=3, callbacks=[Evaluation(plane_sets=planes, every_n_epochs=1)]
    )
    backbone = nn.Sequential(nn.Flatten(), nn.Linear(3072, 100))
    with pytest.raises(SystemExit):
        trainer.fit(NoRegClassifier(backbone), tiny_data)
    assert trainer.interrupted
    assert trainer.current_epoch == 0
    assert "test_curve/class_changes/segments" not in trainer.callback_metrics


def test_an_epoch_without_cheap_planes_ends_as_any(make_trainer, tiny_data):
    evaluation = Evaluation(plane_sets=[], every_n_epochs=1)
    trainer = make_trainer(max_epochs=2, callbacks=[evaluation])
    backbone = nn.Sequential(nn.Flatten(), nn.Linear(3072, 100))
    trainer.fit(NoRegClassifier(backbone), tiny_data)
    assert trainer.current_epoch == 2
    assert evaluation.record == {}


def test_the_log_says_which_planes_were_redone(make_trainer, tiny_data, caplog, monkeypatch):
    redone = ClassMap(torch.zeros(21, 21, dtype=torch.int64), redone=True)
    monkeypatch.setattr(
        "regularizer_collection.callbacks.mapped_planes.classify_plane_with_error",
        lambda *_, **__: redone,
    )
    with caplog.at_level("INFO"):
        evaluate(make_trainer, tiny_data, num_planes=2)
    assert "zoom_0.1: 2 planes redone exactly" in caplog.text


def test_prints_the_mean_of_each_measure(make_trainer, tiny_data, caplog):
    with caplog.at_level("INFO"):
        evaluate(make_trainer, tiny_data, num_planes=3, plane_sets=[Segments(num_planes=4)])
    assert "boundary_length/zoom_0.1: " in caplog.text
    assert ", mean of 3 planes" in caplog.text
    assert "class_changes/segments: " in caplog.text
