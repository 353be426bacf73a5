import torch

from regularizer_collection.datamodules import Shapes100DataModule, Textures10DataModule


def test_the_images_are_those_of_100_classes_which_share_ten_textures():
    shapes, textures = Shapes100DataModule(300, 100), Textures10DataModule(300, 100)
    for data in (shapes, textures):
        data.setup("fit")
    images, labels = textures.images_and_labels("train")
    assert torch.equal(images, shapes.images_and_labels("train")[0])
    assert torch.equal(labels, shapes.images_and_labels("train")[1] % 10)
    assert textures.num_classes == 10
    assert labels.bincount().tolist() == [30] * 10


def test_the_mean_colour_tells_textures_apart_far_above_chance():
    data = Textures10DataModule(1000, 500)
    data.setup("fit")
    (x, labels), (others, truth) = (
        (data.normalize(images).mean((2, 3)), labels)
        for images, labels in (data.images_and_labels(split) for split in ("train", "test"))
    )
    centres = torch.stack([x[labels == label].mean(0) for label in range(10)])
    nearest = torch.cdist(others, centres).argmin(1)
    assert (nearest == truth).double().mean() > 0.2
