"""A built-in data set that needs no download."""

from torch import Tensor

from regularizer_collection.datamodules.image_data_module import ImageDataModule, Split
from regularizer_collection.datamodules.shape_drawing import draw_shapes
from regularizer_collection.functional.seeding import derive_seed


class Shapes100DataModule(ImageDataModule):
    """10 shapes in 10 textures, drawn from a seed: 32x32 images in 100 classes.

    Place, size, rotation, colour, clutter and noise are random. ``no_reg.yaml`` with the default
    sizes and ``--trainer.max_epochs 4`` reached 78.7 % test accuracy with seed 0.

    Args:
        train_size: Number of training images.
        test_size: Number of test images.
        data_seed: Seed the images are drawn from; the run's ``seed`` does not change them.
        batch_size: Samples of a step, which all processes share.
        val_size: Training images held out for validation, the same number of each class; below 1 a
            share of them.
        augment: Crops and flips training images at random.
        seed: Seed of shuffling, augmentation and the held-out part.

    Raises:
        ValueError: If an argument is out of range.
    """

    num_classes = 100
    mean = (0.406, 0.406, 0.406)
    std = (0.217, 0.217, 0.217)

    def __init__(
        self,
        train_size: int = 50_000,
        test_size: int = 10_000,
        data_seed: int = 0,
        batch_size: int = 100,
        val_size: int | float = 0,
        augment: bool = False,
        seed: int = 0,
    ) -> None:
        super().__init__(batch_size, val_size, augment, seed)
        if min(train_size, test_size) < 1:
            raise ValueError(
                f"train_size is {train_size} and test_size {test_size}; give 1 or more each"
            )
        self.sizes = {"train": train_size, "test": test_size}
        self.data_seed = data_seed

    def load(self, split: Split) -> tuple[Tensor, Tensor]:
        """Draws images [samples, 32, 32, 3] (uint8) and labels [samples]."""
        return draw_shapes(self.sizes[split], derive_seed(split, self.data_seed))
