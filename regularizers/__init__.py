"""What changes the loss of a training step, usable without Lightning."""

from regularizer_collection.functional.pixels import PixelSpace
from regularizer_collection.regularizers.confidence_penalty import ConfidencePenalty
from regularizer_collection.regularizers.cutmix import CutMix
from regularizer_collection.regularizers.input_noise import InputNoise
from regularizer_collection.regularizers.jacobian_penalty import JacobianPenalty
from regularizer_collection.regularizers.label_smoothing import LabelSmoothing
from regularizer_collection.regularizers.mixup import Mixup
from regularizer_collection.regularizers.objective import Terms, regularized_loss
from regularizer_collection.regularizers.penalty import Penalty
from regularizer_collection.regularizers.regularizer import Regularizer
from regularizer_collection.regularizers.sharpness_aware import SharpnessAware
from regularizer_collection.regularizers.step import Step

__all__ = [
    "ConfidencePenalty",
    "CutMix",
    "InputNoise",
    "JacobianPenalty",
    "LabelSmoothing",
    "Mixup",
    "Penalty",
    "PixelSpace",
    "Regularizer",
    "SharpnessAware",
    "Step",
    "Terms",
    "regularized_loss",
]
