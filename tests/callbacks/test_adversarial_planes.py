import numpy as np
import pytest
import torch
from torch import nn

from regularizer_collection.callbacks import AdversarialPlanes, Evaluation
from regularizer_collection.callbacks.adversarial_planes import _directions
from regularizer_collection.lightning_modules import NoRegClassifier


class Ball(nn.Module):
    """Class 0 within a distance of the origin of the normalised images, class 1 beyond."""

    def __init__(self, radius):
        super().__init__()
        self.radius = nn.Parameter(torch.tensor(radius))

    def forward(self, images):
        beyond = images.flatten(1).norm(dim=1) - self.radius
        rest = images.new_full((len(images), 98), -1e3)
        return torch.cat([torch.zeros_like(beyond)[:, None], beyond[:, None], rest], 1)


def measured(make_trainer, data, backbone, **options):
    planes = AdversarialPlanes(**({"num_planes": 4, "resolution": 101} | options))
    evaluation = Evaluation(num_planes=1, resolution=5, zoom_levels=(1.0,), plane_sets=[planes])
    trainer = make_trainer(callbacks=[evaluation])
    trainer.test(NoRegClassifier(backbone), data, verbose=False)
    return evaluation.record["adversarial"], trainer


def test_distance_density_and_curvature_are_those_of_a_sphere(make_trainer, tiny_data):
    tiny_data.setup("test")
    norms = tiny_data.normalize(tiny_data.images_and_labels("test")[0]).flatten(1).norm(dim=1)
    radius = 0.9 * norms.min().item()  # the way to it leads inwards, where no pixel meets its ends
    record, trainer = measured(make_trainer, tiny_data, Ball(radius), resolution=301)
    for (index,), distance, curvature, density in zip(
        record["image_indices"], *(record["values"][name] for name in VALUES), strict=True
    ):
        assert distance == pytest.approx(norms[index].item() - radius, rel=0.01)
        # The sphere bends away from the image; a parabola through so much of it bends more.
        t = np.linspace(-distance, distance)
        parabola = np.polyfit(t, -np.sqrt(radius**2 - t**2), 2)
        assert curvature == pytest.approx(2 * parabola[0], rel=0.05)
        # The part of a great circle that lies in a square of side 6 distances around the image.
        angles = np.linspace(0, 2 * np.pi, 10_000)
        x, y = distance + radius + radius * np.cos(angles), radius * np.sin(angles)
        inside = np.mean((np.abs(x) < 3 * distance) & (np.abs(y) < 3 * distance))
        length = 2 * np.pi * radius * inside
        assert density == pytest.approx(length / (6 * distance) ** 2, rel=0.1)
    logged = trainer.callback_metrics["test/boundary_density/adversarial"].item()
    densities = record["values"]["boundary_density"]
    assert logged == pytest.approx(sum(densities) / len(densities))


VALUES = ("distance", "curvature", "boundary_density")


def test_a_network_without_a_boundary_has_none(make_trainer, tiny_data):
    class Constant(nn.Module):
        def forward(self, images):
            return images.flatten(1)[:, :100] * 0 + torch.arange(100.0)

    record, trainer = measured(make_trainer, tiny_data, Constant())
    assert record["values"]["distance"] == [None] * 4
    assert record["values"]["boundary_density"] == [0.0] * 4
    assert "test/distance/adversarial" not in trainer.callback_metrics


def test_an_image_without_a_class_is_counted_and_has_no_boundary(make_trainer, tiny_data):
    class NotFinite(nn.Module):
        def forward(self, images):
            return images.flatten(1)[:, :100] * float("nan")

    with pytest.warns(UserWarning, match="points without a class") as told:
        record, _ = measured(make_trainer, tiny_data, NotFinite())
    assert any("adversarial planes: 4 points" in str(warning.message) for warning in told)
    assert record["values"]["non_finite"] == [1] * 4
    assert record["values"]["boundary_density"] == [0.0] * 4


def test_points_without_a_class_around_an_image_are_counted(make_trainer, tiny_data):
    class NotFinite(Ball):
        def forward(self, images):
            beyond = images.flatten(1).norm(dim=1, keepdim=True) > self.radius + 5
            return super().forward(images).masked_fill(beyond, float("nan"))

    tiny_data.setup("test")
    norms = tiny_data.normalize(tiny_data.images_and_labels("test")[0]).flatten(1).norm(dim=1)
    with pytest.warns(UserWarning, match="points without a class"):
        record, _ = measured(make_trainer, tiny_data, NotFinite(norms.max().item() - 2))
    assert all(0 < count < 101**2 for count in record["values"]["non_finite"])


def test_the_first_direction_is_the_attacks_and_both_are_orthonormal():
    toward = torch.randn(3, 4, 4, generator=torch.Generator().manual_seed(0)).double()
    first, second = _directions(toward, 7)
    torch.testing.assert_close(first, (toward / toward.norm()).float())
    assert second.norm().item() == pytest.approx(1, abs=1e-6)
    assert abs((first * second).sum().item()) < 1e-6
    assert torch.equal(_directions(toward, 7), _directions(toward, 7))
    assert not torch.equal(_directions(toward, 8)[1], second)


def test_refuses_no_steps():
    with pytest.raises(ValueError, match="distance_steps is 0; give 1 or more"):
        AdversarialPlanes(distance_steps=0)
