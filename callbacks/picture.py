"""Images as they can be shown."""

import numpy as np
from torch import Tensor


def picture(image: Tensor) -> np.ndarray:
    """Returns an image as red, green and blue; one of other channels as their mean, in grey.

    Args:
        image: Pixels [height, width, channels], uint8 or from 0 to 1.
    """
    if image.shape[2] != 3:
        image = image.float().mean(2, keepdim=True).to(image.dtype).expand(-1, -1, 3)
    return image.cpu().numpy()
