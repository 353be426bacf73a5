"""A built-in data set that is learnt in minutes."""

from torch import Tensor

from regularizer_collection.datamodules.image_data_module import Split
from regularizer_collection.datamodules.shape_drawing import NUM_TEXTURES
from regularizer_collection.datamodules.shapes100 import Shapes100DataModule


class Textures10DataModule(Shapes100DataModule):
    """The images of :class:`Shapes100DataModule`, of which the texture alone is the class."""

    num_classes = 10

    def load(self, split: Split) -> tuple[Tensor, Tensor]:
        """Draws images [samples, 32, 32, 3] (uint8) and labels [samples]."""
        images, labels = super().load(split)
        return images, labels % NUM_TEXTURES
