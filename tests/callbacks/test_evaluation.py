import pytest
import torch
from torch import nn

from callbacks import Evaluation
from functional import boundary_length, classify_plane, isotropic_tv
from lightning_modules import NoRegClassifier, ResNet18


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
    evaluation, _, _ = evaluate(make_trainer, tiny_data, NotFinite(), num_planes=1, mode="exact")
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
