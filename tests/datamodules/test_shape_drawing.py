"""What the drawn images promise: exact repeatability, balance, and labels that can be learned."""

import pytest
import torch
from torch import Tensor

from regularizer_collection.datamodules.shape_drawing import draw_shapes

NUM_CLASSES = 100


def colour_histogram(images: Tensor, bins_per_channel: int = 6) -> Tensor:
    """Square roots of RGB bin fractions of the image centre, shape [n, bins_per_channel ** 3].

    It knows nothing of the outline, so at best it tells the ten textures apart: 10 % of classes.
    """
    centre = images[:, 6:26, 6:26].flatten(1, 2).long() * bins_per_channel // 256
    bins = (centre * torch.tensor([bins_per_channel**2, bins_per_channel, 1])).sum(-1)
    counts = torch.zeros(len(images), bins_per_channel**3)
    counts.scatter_add_(1, bins, torch.ones(bins.shape))
    return (counts / bins.shape[1]).sqrt()


def downsampled(images: Tensor) -> Tensor:
    """Means over 4 x 4 pixels, shape [n, 192]."""
    return torch.nn.functional.avg_pool2d(images.permute(0, 3, 1, 2) / 255, 4).flatten(1)


def ridge_predictions(train: Tensor, labels: Tensor, test: Tensor) -> Tensor:
    """Class indices that a ridge regression on one-hot labels gives to the test features."""
    mean = train.mean(0)
    train, test = train - mean, test - mean
    targets = torch.nn.functional.one_hot(labels, NUM_CLASSES).float()
    gram = train.T @ train + torch.eye(train.shape[1])
    return (test @ torch.linalg.solve(gram, train.T @ (targets - targets.mean(0)))).argmax(1)


def accuracy(predictions: Tensor, labels: Tensor) -> float:
    return (predictions == labels).float().mean().item()


@pytest.fixture(scope="module")
def train_set() -> tuple[Tensor, Tensor]:
    return draw_shapes(4_000, seed=0)


@pytest.fixture(scope="module")
def test_set() -> tuple[Tensor, Tensor]:
    return draw_shapes(2_000, seed=1)


@pytest.mark.parametrize("num_images", [1, 250])
def test_images_are_uint8_rgb_and_labels_are_int64(num_images: int) -> None:
    images, labels = draw_shapes(num_images, seed=0)
    assert images.shape == (num_images, 32, 32, 3)
    assert images.dtype == torch.uint8
    assert labels.shape == (num_images,)
    assert labels.dtype == torch.int64


def test_images_use_the_whole_range(train_set: tuple[Tensor, Tensor]) -> None:
    images, _ = train_set
    assert images.min() == 0
    assert images.max() == 255
    assert 80 < images.float().mean() < 175


def test_equal_seeds_give_equal_bytes() -> None:
    # More than one chunk, so that the order of the chunks is covered too.
    for first, second in zip(draw_shapes(1_500, seed=3), draw_shapes(1_500, seed=3), strict=True):
        assert torch.equal(first, second)


def test_global_random_state_is_neither_used_nor_changed() -> None:
    torch.manual_seed(0)
    expected, _ = draw_shapes(10, seed=3)
    torch.manual_seed(1)
    state = torch.get_rng_state()
    images, _ = draw_shapes(10, seed=3)
    assert torch.equal(images, expected)
    assert torch.equal(torch.get_rng_state(), state)


def test_different_seeds_give_different_images_and_orders() -> None:
    images, labels = draw_shapes(200, seed=0)
    other_images, other_labels = draw_shapes(200, seed=1)
    assert not torch.equal(labels, other_labels)
    assert not (images == other_images).flatten(1).all(1).any()


@pytest.mark.parametrize("num_images", [30, 100, 1_250])
def test_classes_are_balanced_up_to_one_image(num_images: int) -> None:
    _, labels = draw_shapes(num_images, seed=0)
    counts = labels.bincount(minlength=NUM_CLASSES)
    assert len(counts) == NUM_CLASSES
    assert counts.max() - counts.min() <= 1


def test_labels_are_shuffled() -> None:
    _, labels = draw_shapes(1_000, seed=0)
    assert len(labels[:NUM_CLASSES].unique()) < NUM_CLASSES
    assert not torch.equal(labels, labels.sort().values)


def test_every_image_is_drawn_and_unique(train_set: tuple[Tensor, Tensor]) -> None:
    images, _ = train_set
    assert len(images.flatten(1).unique(dim=0)) == len(images)
    assert images.flatten(1).float().std(1).min() > 5


def test_images_of_one_class_vary_more_than_noise(train_set: tuple[Tensor, Tensor]) -> None:
    images, labels = train_set
    for label in (0, 42, 99):
        members = downsampled(images[labels == label])
        # Averaging over 16 pixels leaves noise of about 0.02.
        assert members.std(0).mean() > 0.1


def test_colours_reveal_the_texture_but_not_the_outline(
    train_set: tuple[Tensor, Tensor], test_set: tuple[Tensor, Tensor]
) -> None:
    images, labels = test_set
    predictions = ridge_predictions(
        colour_histogram(train_set[0]), train_set[1], colour_histogram(images)
    )
    assert accuracy(predictions % 10, labels % 10) > 0.6  # chance is 10 %
    assert accuracy(predictions // 10, labels // 10) < 0.25  # chance is 10 %


def test_a_linear_classifier_beats_chance_but_stays_far_from_solving_the_task(
    train_set: tuple[Tensor, Tensor], test_set: tuple[Tensor, Tensor]
) -> None:
    images, labels = test_set
    predictions = ridge_predictions(downsampled(train_set[0]), train_set[1], downsampled(images))
    assert 0.1 < accuracy(predictions, labels) < 0.4  # chance is 1 %


@pytest.mark.parametrize("num_images", [0, -1])
def test_fewer_than_one_image_is_an_error(num_images: int) -> None:
    with pytest.raises(ValueError, match=f"num_images is {num_images}; give 1 or more"):
        draw_shapes(num_images, seed=0)
