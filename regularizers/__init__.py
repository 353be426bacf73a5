"""What changes the loss of a training step, usable without Lightning."""

from regularizer_collection.functional.pixels import PixelSpace
from regularizer_collection.regularizers.jacobian_penalty import JacobianPenalty
from regularizer_collection.regularizers.objective import Terms, regularized_loss
from regularizer_collection.regularizers.penalty import Penalty
from regularizer_collection.regularizers.regularizer import Regularizer
from regularizer_collection.regularizers.step import Step

__all__ = [
    "JacobianPenalty",
    "Penalty",
    "PixelSpace",
    "Regularizer",
    "Step",
    "Terms",
    "regularized_loss",
]
